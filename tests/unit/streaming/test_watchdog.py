"""The commit watchdog."""

import asyncio
from contextlib import suppress

import pytest
from faust.types import TP

from app.streaming.watchdog import CommitsStalled, watch_commits

PARTITION = TP("messages", 0)


async def watch(behind: list[dict[TP, int | None]], *, answers: bool, seconds: float = 0.4) -> None:
    """Look at each state once; the last one stays. Return after `seconds`."""
    states = iter(behind)
    last: dict[TP, int | None] = {}

    def look() -> dict[TP, int | None]:
        nonlocal last
        last = next(states, last)
        return last

    async def kafka_answers() -> bool:
        return answers

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await watch_commits(look, kafka_answers, patience_seconds=0.1, look_seconds=0.01)


async def test_watchdog_when_nothing_is_committed_ends_the_worker() -> None:
    with pytest.raises(CommitsStalled, match="messages:0 is still at 7"):
        await watch([{PARTITION: 7}], answers=True, seconds=30)


async def test_watchdog_when_commits_go_on_is_silent() -> None:
    await watch([{PARTITION: offset} for offset in range(1000)], answers=True)


async def test_watchdog_when_kafka_is_away_is_silent() -> None:
    await watch([{PARTITION: 7}], answers=False)


async def test_watchdog_when_all_is_committed_is_silent() -> None:
    await watch([{PARTITION: 7}, {}], answers=True)
