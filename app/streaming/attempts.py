"""Attempts at a batch: endless patience with what passes by itself, three tries at all else."""

import logging
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiokafka import ConsumerRecord
from faust.streams import _current_event
from faust.types import TP, EventT
from prometheus_client import Counter

from app.archive.marks import NumberConflict
from app.errors import PartitionLost
from app.records import Undecodable, decode
from app.stream_log.log import Source
from app.streaming.batches import records_of
from app.streaming.dead_letters import DeadLetters
from app.streaming.failures import ATTEMPTS, Backoff, is_transient
from app.streaming.work import Received, Refused, Rule, Work

if TYPE_CHECKING:
    from app.streaming.application import Application

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_retries = Counter(
    "hubbub_retries_total", "Attempts that failed and were repeated.", ["topic", "error"]
)
_conflicts = Counter("hubbub_number_conflicts_total", "Numbers that somebody else had given.")

_SAY_AFTER: Final = 3
"""Attempts before a wait is logged: a short hiccup is not news."""

_CONFLICTS: Final = 3
"""In a row, at which a worker leaves: it is not the one who should number here."""


class Abandoned(Exception):  # noqa: N818 - said of a batch
    """A batch that waits for a dependency is given up, unacknowledged: its partition is leaving."""


@dataclass(frozen=True, slots=True)
class Done:
    """Batches that were worked on as one: their effects are there."""

    events: Sequence[EventT[Any]]
    work: Work
    barriers: Sequence[Any]
    """What the rule has left to do before they may be acknowledged."""


class Attempts:
    """One partition's way through failures."""

    def __init__(self, app: "Application", tp: TP, rule: Rule[Any]) -> None:
        self._app = app
        self._rule = rule
        self._source = Source(tp.topic, tp.partition, app.incarnation)
        self._dead_letters = DeadLetters(app.source, app.producer)
        self.waits_for = ""
        """What the partition waits for, or an empty string."""
        self.is_abandoned = False
        """Whether no further attempt is to be made."""

    async def process(self, events: Sequence[EventT[Any]]) -> Done:
        """Bring about the effects of batches, as one."""
        _enter(events)
        work = self._decode(chain.from_iterable(records_of(event.message) for event in events))
        barriers = await self._handle(work)
        for refused in work.refused:
            await self._patiently(partial(self._dead_letters.send, refused))
            await self._patiently(partial(self._app.bury, refused))
        return Done(events, work, barriers)

    async def settle(self, batches: Sequence[Done]) -> None:
        """Return when batches, in their order, may be acknowledged."""
        _enter(batches[-1].events)
        barriers = [barrier for done in batches for barrier in done.barriers]
        await self._patiently(partial(self._rule.settle, barriers))

    def _decode(self, records: Iterable[ConsumerRecord]) -> Work:
        work = Work(self._source, [], self._app.lease)
        partitions = self._app.partitions
        for raw in records:
            try:
                event = decode(self._app.source, raw.key, raw.value, raw.partition, partitions)
            except Undecodable as error:
                work.refused.append(Refused(raw, error.reason, error.error))
            else:
                work.received.append(Received(raw, event))
        return work

    async def _handle(self, work: Work) -> Sequence[Any]:
        if not work.received:
            return ()
        failures, conflicts, backoff, already_refused = 0, 0, Backoff(), len(work.refused)
        while True:
            del work.refused[already_refused:]
            try:
                barrier = await self._rule.handle(work)
            except PartitionLost:
                raise  # Another worker took the table over: this one leaves and comes again.
            except NumberConflict as conflict:
                self._rule.forget(self._source.partition)
                _conflicts.inc()
                conflicts += 1
                if conflicts >= _CONFLICTS:
                    raise
                await self._wait(backoff, conflict)
            except Exception as error:  # noqa: BLE001 - every failure is decided on here
                self._rule.forget(self._source.partition)
                if not (is_transient(error) or work.is_irrevocable):
                    failures += 1
                    if failures >= ATTEMPTS:
                        return await self._blame(work, error)
                await self._wait(backoff, error)
            else:
                self._go_on(backoff)
                return () if barrier is None else (barrier,)

    async def _blame(self, work: Work, error: Exception) -> Sequence[Any]:
        """Work record by record, so that only the one that fails is dead-lettered."""
        if len(work.received) == 1:
            reason = Refused(work.received[0].raw, "handler_failed", type(error).__name__, ATTEMPTS)
            log.error("handler_failed", exc_info=error)
            work.refused.append(reason)
            return ()
        barriers: list[Any] = []
        for item in work.received:
            single = Work(work.source, [item], work.lease)
            barriers += await self._handle(single)
            work.refused += single.refused
            work.is_urgent |= single.is_urgent
        return barriers

    async def _patiently(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        backoff = Backoff()
        while True:
            try:
                result = await attempt()
            except Exception as error:
                if not is_transient(error):
                    raise
                await self._wait(backoff, error)
            else:
                self._go_on(backoff)
                return result

    async def _wait(self, backoff: Backoff, error: Exception) -> None:
        name = type(error).__name__
        _retries.labels(self._source.topic, name).inc()
        self.waits_for = name
        if backoff.attempts == _SAY_AFTER:
            log.warning("partition_waits", extra={**self._fields, "error": name})
        await backoff.wait()
        if self.is_abandoned:
            raise Abandoned

    def _go_on(self, backoff: Backoff) -> None:
        self.waits_for = ""
        if backoff.attempts > _SAY_AFTER:
            log.info("partition_goes_on", extra=self._fields)

    @property
    def _fields(self) -> dict[str, Any]:
        return {"topic": self._source.topic, "partition": self._source.partition}


def _enter(events: Sequence[EventT[Any]]) -> None:
    # The one place where the current event is set: tables find their partition through it.
    _current_event.set(weakref.ref(events[-1]))
