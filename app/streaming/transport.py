"""Faust's transport with three differences: batches, the prefix commit, no dropped records.

Overrides methods of faust-streaming 0.15.3, which is pinned exactly: `_drain_messages`,
`force_commit`, `perform_seek`, `stop_flow` and `wait_empty` of the consumer.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from aiokafka import ConsumerRecord
from aiokafka.errors import ConsumerStoppedError
from faust.transport.consumer import ensure_TP, ensure_TPset
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message

from app.streaming.batches import LONGEST_BATCH, Batch, batch_of, to_message
from app.streaming.consumer_thread import ConsumerThread, Fetched
from app.streaming.ledger import Ledger

if TYPE_CHECKING:
    from app.streaming.application import Application

_FETCH_SECONDS: Final = 1.0
_FULL_SECONDS: Final = 0.02
"""A partition that was full may have room before the wait for the others is over."""
_PAUSED_SECONDS: Final = 0.005


class Consumer(driver.Consumer):
    """Hands out batches, and commits the acknowledged prefix of each partition."""

    app: "Application"
    logger = logging.getLogger("faust.transport")
    _thread: ConsumerThread

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ledgers: defaultdict[TP, Ledger] = defaultdict(Ledger)
        self._delivering: asyncio.Timeout | None = None

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # Acknowledge and commit

    def ack(self, message: Message) -> bool:
        """Acknowledge a batch; nothing else has acknowledgements here."""
        batch = batch_of(message)
        if batch is None or batch.delivery is None or message.acked:
            return False
        message.acked = batch.delivery.acknowledged = True
        self._unacked_messages.discard(message)
        return True

    def uncommitted(self) -> dict[TP, int]:
        """Return what could be committed now: by partition, one past its acknowledged prefix."""
        offsets = {}
        for tp, ledger in self.ledgers.items():
            offset, committed = ledger.committable, self._committed_offset[tp]
            if offset is not None and (committed is None or offset > committed):
                offsets[tp] = offset
        return offsets

    def behind(self) -> dict[TP, int | None]:
        """Return the partitions that have something to commit, with their committed offset."""
        return {tp: self._committed_offset[tp] for tp in self.uncommitted()}

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the acknowledged prefixes; return whether Kafka has them."""
        assigned = self.assignment()
        offsets = {tp: offset for tp, offset in self.uncommitted().items() if tp in assigned}
        if not offsets:
            return False
        state = self.app.sensors.on_commit_initiated(self)
        is_committed = await self._commit(offsets)
        if is_committed:
            self._committed_offset.update(offsets)
            self.app.monitor.on_tp_commit(offsets)
        self.app.sensors.on_commit_completed(self, state)
        return is_committed

    async def verify_all_partitions_active(self) -> None:
        """Leave it to the commit watchdog: stock logs pages about what is merely idle."""

    async def wait_empty(self) -> None:
        """Let the batches in hand finish, for a bounded time, and commit what is acknowledged."""
        await self.app.drain()
        # A commit on its way does not know what was acknowledged since, and `commit` only joins it.
        await self.maybe_wait_for_commit_to_finish()
        await self.commit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the ledgers, after the drain that this leads to."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self.ledgers.pop(tp, None)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Start anew with the partitions that the group gave."""
        self.ledgers.clear()
        self._buffered_partitions.clear()
        self.app.lanes.open()
        await super().on_partitions_assigned(assigned, generation_id)

    # Fetch and hand out

    def stop_flow(self) -> None:
        """Take no more batches, and end a wait for room in a queue: a rebalance begins."""
        super().stop_flow()
        delivering = self._delivering
        if delivering is not None and not delivering.expired():
            delivering.reschedule(0)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from partitions again, Faust's or aiokafka's: stock's next assertion fails on
        those of aiokafka, which its own recovery names."""
        super().resume_partitions(ensure_TPset(tps))

    async def perform_seek(self) -> None:
        """Go to where the group has come to in each source partition."""
        sources = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
        for tp, place in (await self._thread.seek_to_start(sources)).items():
            self._read_offset[tp] = place.start
            self._committed_offset[tp] = place.committed

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._hand_out()
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    async def _hand_out(self) -> None:
        # Stock hands aiokafka the live set. When recovery empties it during a fetch, aiokafka
        # takes it for "all partitions", and Faust drops the records that it did not ask for.
        active = frozenset(self._get_active_partitions()) if self.flow_active else frozenset()
        if not active:
            await self.sleep(_PAUSED_SECONDS)  # Stock: a whole second.
            return
        seconds = _FULL_SECONDS if self._buffered_partitions else _FETCH_SECONDS
        fetched = await self._thread.fetch(active, seconds)
        if not self.flow_active:
            # A rebalance began during the fetch. Its records may lie behind the seek at its end:
            # stock drops them, and they are never read again.
            await self.wait(self.can_resume_flow.wait())
        if not fetched.records or self.should_stop or fetched.seeks != self._thread.seeks:
            return  # If a seek has gone back behind them, they are fetched again.
        self._delivering = delivering = asyncio.timeout(None)
        try:
            async with delivering:
                await self._deliver(fetched)
        except TimeoutError:
            if not delivering.expired():
                raise
        finally:
            self._delivering = None
        await asyncio.sleep(0)  # The lanes first, then the next fetch.

    async def _deliver(self, fetched: Fetched) -> None:
        generation = self.app.consumer_generation_id
        for message in self._messages(fetched, generation):
            if self.app.consumer_generation_id != generation or not self.flow_active:
                return  # The seek at the end of the rebalance goes back behind these.
            batch = batch_of(message)
            if batch is not None and not self._is_changelog_tp(message.tp):
                batch.delivery = self.ledgers[message.tp].deliver(batch[0].offset, batch[-1].offset)
            await self.callback(message)
            self._read_offset[message.tp] = message.offset + 1
            await asyncio.sleep(0)

    def _messages(self, fetched: Fetched, generation: int) -> Iterator[ConsumerMessage]:
        """The messages of one fetch, partitions in turn: none waits for another's backlog."""
        paused = self._paused_partitions
        rows = []
        for place, records in fetched.records.items():
            # aiokafka's own class: equal to Faust's, which asserts its own once a lane was full.
            tp = ensure_TP(place)
            read = self._read_offset[tp]
            new = [r for r in records if r.offset >= read] if read is not None else list(records)
            if new and tp not in paused:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                rows.append(_split(tp, new, generation))
        while rows:
            for row in list(rows):
                message = next(row, None)
                if message is None:
                    rows.remove(row)
                else:
                    yield message


def _split(tp: TP, records: list[ConsumerRecord], generation: int) -> Iterator[ConsumerMessage]:
    for start in range(0, len(records), LONGEST_BATCH):
        yield to_message(tp, Batch(records[start : start + LONGEST_BATCH]), generation)


class Transport(driver.Transport):
    """Faust's transport, with our consumer."""

    Consumer = Consumer
