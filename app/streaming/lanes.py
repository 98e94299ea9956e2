"""Lanes: one task a partition, so that partitions run side by side, and each in order.

A batch is acknowledged only when its rule, its dead letters, its table writes and its barrier are
done. Leaving a lane in any other way acknowledges nothing: stock Faust acknowledges the event of a
cancelled or failed agent.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

import faust
from faust.types import TP, EventT, StreamT
from prometheus_client import Counter, Gauge

from app.streaming.attempts import Attempts
from app.streaming.batches import batch_of
from app.streaming.work import Barrier, Rule

if TYPE_CHECKING:
    from app.streaming.application import Application

log = logging.getLogger(__name__)

FULL: Final = 4
"""Batches waiting in a lane at which its partition is no longer fetched."""

_records = Counter("hubbub_records_total", "Records processed and acknowledged.", ["topic"])
_paused = Gauge("hubbub_paused_partitions", "Partitions that wait for a dependency.", ["topic"])


class Lane:
    """One partition's batches, in order."""

    def __init__(self, tp: TP, attempts: Attempts, owner: "Lanes") -> None:
        self.tp = tp
        self.attempts = attempts
        self._owner = owner
        self._queue: asyncio.Queue[EventT[Any] | None] = asyncio.Queue()
        self._settling: asyncio.Task[None] | None = None
        self._is_closed = False
        self.task = asyncio.create_task(self._run(), name=f"lane {tp.topic}:{tp.partition}")

    def put(self, event: EventT[Any]) -> None:
        """Queue a batch."""
        self._queue.put_nowait(event)
        if self._queue.qsize() >= FULL:
            self._owner.app.consumer.on_buffer_full(self.tp)

    def close(self) -> None:
        """End after the batch in hand; what is queued is read again by whoever is next."""
        self._is_closed = True
        self._queue.put_nowait(None)

    async def _run(self) -> None:
        try:
            while not self._is_closed:
                event = await self._queue.get()
                if self._queue.qsize() < FULL:
                    self._owner.app.consumer.on_buffer_drop(self.tp)
                if event is None or self._is_closed:
                    break
                barrier = await self.attempts.process(event)
                # At most one batch settles while the next is worked on.
                await self._settled()
                self._settling = asyncio.create_task(self._settle(event, barrier))
            await self._settled()
        except asyncio.CancelledError:
            if self._settling is not None:
                self._settling.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - not acknowledged: the process ends, and it comes again
            await self._owner.app.crash(error)

    async def _settled(self) -> None:
        if self._settling is not None:
            await self._settling
            self._settling = None

    async def _settle(self, event: EventT[Any], barrier: Barrier | None) -> None:
        await self.attempts.settle(barrier)
        event.ack()
        _records.labels(self.tp.topic).inc(len(batch_of(event.message) or ()))


class Lanes:
    """The lanes of one worker, by partition."""

    def __init__(self, app: "Application") -> None:
        self.app = app
        self._lanes: dict[TP, Lane] = {}
        self._is_open = True

    async def run(self, stream: StreamT[Any], rule: Rule) -> None:
        """Pass an agent's batches to their partitions' lanes; the body of every agent."""
        # StreamT does not name what Stream has.
        async for event in cast("faust.Stream[Any]", stream).noack().events():
            if self._is_open:
                self._lane(event.message.tp, rule).put(event)

    def _lane(self, tp: TP, rule: Rule) -> Lane:
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
            await asyncio.wait(late)

    @property
    def paused(self) -> dict[str, str]:
        """The partitions that wait for a dependency, each with what it waits for."""
        waiting = {
            f"{tp.topic}:{tp.partition}": lane.attempts.waits_for
            for tp, lane in self._lanes.items()
            if lane.attempts.waits_for
        }
        _paused.labels(self.app.source.name).set(len(waiting))
        return waiting
