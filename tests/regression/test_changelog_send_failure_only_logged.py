"""A table's change that does not get into its changelog is logged, and the source committed."""

import asyncio
from typing import Any

import faust
import pytest
from aiokafka.errors import KafkaTimeoutError

from tables.partition import Partition
from tables.redis_table import RedisTable
from tests.support.flavours import Flavour, Ours


async def test_change_that_could_not_be_sent_ends_the_worker(
    flavour: type[Flavour], faust_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = faust_app
    app.conf.store = "redis://localhost:1/0" if flavour is Ours else "memory://"
    app.conf.Table = RedisTable if flavour is Ours else faust.Table
    table = app.Table("counts", partitions=1)
    if flavour is Ours:
        monkeypatch.setattr(table.data, "hold", lambda _: Partition({}))
    sent = table.send_changelog(0, b"key", b"value")
    sent.set_exception(KafkaTimeoutError())
    await asyncio.sleep(0.05)
    assert isinstance(table.crash_reason, KafkaTimeoutError)
