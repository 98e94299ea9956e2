"""Lanes: one task a partition, so that partitions run side by side, and each in order.

A batch is acknowledged only when its rule, its dead letters, its table writes and its barrier are
done. Leaving a lane in any other way acknowledges nothing: stock Faust acknowledges the event of a
cancelled or failed agent.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import faust
from faust.types import TP, EventT, StreamT
from prometheus_client import Counter, Gauge

from app.streaming.attempts import Abandoned, Attempts, Done
from app.streaming.batches import LONGEST_BATCH, records_of
from app.streaming.settlement import Settlement
from app.streaming.work import Rule

if TYPE_CHECKING:
    from app.streaming.application import Application

log = logging.getLogger(__name__)

FULL: Final = 2 * LONGEST_BATCH
"""Records waiting in a lane at which its partition is no longer fetched."""

_records = Counter("hubbub_records_total", "Records processed and acknowledged.", ["topic"])
_paused = Gauge("hubbub_paused_partitions", "Partitions that wait for a dependency.", ["topic"])

_CANCEL_SECONDS: Final = 1.0
"""A late batch is cancelled; what does not even end then is left to the end of the process."""


class Lane:
    """One partition's batches, in order.

    What has come while a batch was worked on is worked on as one: the lane waits for nothing at a
    low rate, and what a batch costs is shared by ever more records as the rate grows.
    """

    def __init__(self, tp: TP, attempts: Attempts, owner: "Lanes") -> None:
        self.tp = tp
        self.attempts = attempts
        self._owner = owner
        self._waiting: deque[EventT[Any]] = deque()
        self._waiting_records = 0
        self._has_news = asyncio.Event()
        self._settlement = Settlement(attempts, self._acknowledge, self._fail)
        self._is_closed = False
        self._processed = _records.labels(tp.topic)
        self.passed_at: float | None = None
        """The time of the last record that was acknowledged, in Unix seconds."""
        self.task = asyncio.create_task(self._run(), name=f"lane {tp.topic}:{tp.partition}")

    def put(self, event: EventT[Any]) -> None:
        """Queue a batch."""
        self._waiting.append(event)
        self._waiting_records += len(records_of(event.message))
        self._has_news.set()
        if self._waiting_records >= FULL:
            self._owner.app.consumer.on_buffer_full(self.tp)

    def close(self) -> None:
        """End after the batch in hand; what is queued is read again by whoever is next.

        A batch that waits for a dependency is abandoned before its next attempt.
        """
        self._is_closed = self.attempts.is_abandoned = True
        self._has_news.set()

    async def _run(self) -> None:
        try:
            while events := await self._take():
                await self._settlement.add(await self.attempts.process(events))
            await self._settlement.end()
        except Abandoned:
            await self._settlement.end()
        except Exception as error:  # noqa: BLE001 - not acknowledged: it comes again
            await self._fail(error)
        finally:
            self._settlement.cancel()

    async def _take(self) -> Sequence[EventT[Any]]:
        """Wait for a batch; return all that wait, up to the length of one; none: it is closed."""
        await self._has_news.wait()
        if self._is_closed:
            return ()
        events = []
        room = LONGEST_BATCH
        while self._waiting and (size := len(records_of(self._waiting[0].message))) <= room:
            events.append(self._waiting.popleft())
            room -= size
        self._waiting_records -= LONGEST_BATCH - room
        if not self._waiting:
            self._has_news.clear()
        if self._waiting_records < FULL:
            self._owner.app.consumer.on_buffer_drop(self.tp)
        return events

    def _acknowledge(self, done: Done) -> None:
        for event in done.events:
            event.ack()
            self._processed.inc(len(records_of(event.message)))
        self.passed_at = done.events[-1].message.timestamp

    async def _fail(self, error: Exception) -> None:
        self._is_closed = True
        # The process ends, and is started again.
        await self._owner.app.crash(error)


class Lanes:
    """The lanes of one worker, by partition."""

    def __init__(self, app: "Application") -> None:
        self.app = app
        self._lanes: dict[TP, Lane] = {}
        self._is_open = True
        _paused.labels(app.source.name).set_function(lambda: len(self.paused))

    async def run(self, stream: StreamT[Any], rule: Rule[Any]) -> None:
        """Pass an agent's batches to their partitions' lanes; the body of every agent."""
        # StreamT does not name what Stream has.
        async for event in cast("faust.Stream[Any]", stream).noack().events():
            if self._is_open:
                self._lane(event.message.tp, rule).put(event)

    def _lane(self, tp: TP, rule: Rule[Any]) -> Lane:
        lane = self._lanes.get(tp)
        if lane is None:
            rule.forget(tp.partition)
            attempts = Attempts(self.app, tp, rule)
            lane = self._lanes[tp] = Lane(tp, attempts, self)
        return lane

    def open(self) -> None:
        """Take batches (again)."""
        self._is_open = True

    async def drain(self, seconds: float) -> None:
        """Take nothing more, give the batches in hand some time, and abandon what is late."""
        self._is_open = False
        lanes, self._lanes = self._lanes, {}
        if not lanes:
            return
        for lane in lanes.values():
            lane.close()
        _, late = await asyncio.wait([lane.task for lane in lanes.values()], timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            log.warning("batches_abandoned", extra={"count": len(late)})
            await asyncio.wait(late, timeout=_CANCEL_SECONDS)

    def passed_at(self, tp: TP) -> float | None:
        """Return the time of the last record acknowledged since the assignment, Unix seconds."""
        lane = self._lanes.get(tp)
        return None if lane is None else lane.passed_at

    @property
    def paused(self) -> dict[str, str]:
        """The partitions that wait for a dependency, each with what it waits for."""
        return {
            f"{tp.topic}:{tp.partition}": lane.attempts.waits_for
            for tp, lane in list(self._lanes.items())
            if lane.attempts.waits_for
        }
