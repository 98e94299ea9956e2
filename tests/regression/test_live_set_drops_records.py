"""A fetch is given the live set of partitions: emptied meanwhile, it means all of them.

aiokafka then returns records of partitions that are paused, and Faust drops them (seen on a real
Kafka at the end of each recovery; not in the issue tracker).
"""

import asyncio
from typing import Any

import pytest
from faust.types import TP

from app.streaming.consumer_thread import Fetched
from tests.support.flavours import Flavour, Ours

CHANGELOG = TP("counts-changelog", 0)


async def test_partitions_of_a_fetch_stay_when_they_are_paused_meanwhile(
    flavour: type[Flavour], faust_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer: Any = faust_app.consumer
    consumer._active_partitions = {CHANGELOG}
    asked: list[set[TP]] = []

    async def fetch(partitions: Any, *_: Any) -> Any:
        await asyncio.sleep(0)
        consumer.pause_partitions({CHANGELOG})  # Recovery has ended.
        asked.append(set(partitions))
        return Fetched({}, 0) if flavour is Ours else {}

    monkeypatch.setattr(consumer._thread, "fetch" if flavour is Ours else "getmany", fetch, False)
    await (consumer._hand_out() if flavour is Ours else consumer._wait_next_records(1.0))
    assert asked == [{CHANGELOG}]
