"""When batches are settled, and what is acknowledged when that fails."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.stream_log.log import Source
from app.streaming.attempts import Abandoned, Attempts, Done
from app.streaming.batches import LONGEST_BATCH
from app.streaming.lease import Lease
from app.streaming.settlement import SETTLE_SECONDS, Settlement
from app.streaming.work import Work
from tests.support.clock import Clock


class Lane:
    """Attempts whose settlements end when told to, and what became of them."""

    def __init__(self) -> None:
        self.settled: list[list[int]] = []
        self.acknowledged: list[int] = []
        self.failures: list[Exception] = []
        self.error: Exception | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.settlement = Settlement(cast("Attempts", self), self._acknowledge, self._fail)

    async def settle(self, batches: Sequence[Done]) -> None:
        """As `Attempts.settle`."""
        self.settled.append([done.barriers[0] for done in batches])
        await self.may_end.wait()
        if self.error is not None:
            raise self.error

    def _acknowledge(self, done: Done) -> None:
        self.acknowledged.append(done.barriers[0])

    async def _fail(self, error: Exception) -> None:
        self.failures.append(error)

    async def add(self, name: int, records: int = 1, *, is_urgent: bool = False) -> None:
        """Add a batch."""
        received: Any = [SimpleNamespace()] * records
        work = Work(Source("t", 0, "aaaaaaaa"), received, Lease(1e9), is_urgent=is_urgent)
        await self.settlement.add(Done([], work, [name]))


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock on which one while begins now."""
    return Clock(monkeypatch)


async def test_batches_of_a_while_are_settled_as_one(clock: Clock) -> None:
    lane = Lane()
    for name in range(3):
        await lane.add(name)
    await clock.advance(SETTLE_SECONDS / 2)
    assert lane.settled == []
    await clock.advance(SETTLE_SECONDS / 2)
    assert (lane.settled, lane.acknowledged) == ([[0, 1, 2]], [0, 1, 2])
    await lane.add(3)
    await clock.advance(SETTLE_SECONDS)
    assert lane.acknowledged == [0, 1, 2, 3]


async def test_settlements_of_all_partitions_begin_together(clock: Clock) -> None:
    """At the same times of one clock, whenever their batches were done."""
    lanes = [Lane() for _ in range(20)]
    for lane in lanes:
        await lane.add(0)
        await clock.advance(SETTLE_SECONDS / 21)
    assert [lane.settled for lane in lanes] == [[]] * 20
    await clock.advance(SETTLE_SECONDS / 20)
    assert [lane.settled for lane in lanes] == [[[0]]] * 20


@pytest.mark.parametrize(("records", "is_urgent"), [(1, True), (LONGEST_BATCH, False)])
async def test_batch_that_is_urgent_or_long_is_settled_at_once(
    records: int, is_urgent: bool
) -> None:
    lane = Lane()
    await lane.add(0)
    await lane.add(1, records, is_urgent=is_urgent)
    for _ in range(5):
        await asyncio.sleep(0)
    assert lane.acknowledged == [0, 1]


async def test_while_long_batches_are_settled_only_one_more_is_worked_on() -> None:
    lane = Lane()
    lane.may_end.clear()
    await lane.add(0, LONGEST_BATCH)
    third = asyncio.create_task(lane.add(1, LONGEST_BATCH))
    await asyncio.sleep(0.02)
    assert not third.done()
    lane.may_end.set()
    await third
    await lane.settlement.end()
    assert lane.settled == [[0], [1]]


async def test_end_settles_at_once() -> None:
    lane = Lane()
    await lane.add(0)
    await lane.settlement.end()
    assert lane.acknowledged == [0]


@pytest.mark.parametrize("error", [LookupError("no barrier"), Abandoned()])
async def test_when_it_fails_nothing_is_acknowledged_any_more(error: Exception) -> None:
    lane = Lane()
    lane.error = error
    await lane.add(0, is_urgent=True)
    await asyncio.sleep(0.02)
    lane.error = None
    await lane.add(1, LONGEST_BATCH)
    await lane.settlement.end()
    assert lane.acknowledged == []
    assert lane.failures == ([] if isinstance(error, Abandoned) else [error])
