"""Faust's transport with three differences: batches, the prefix commit, no dropped records.

Overrides private methods of faust-streaming 0.15.3 and aiokafka 0.14.0, which are pinned exactly:
`_getmany`, `_wait_next_records`, `_drain_messages`, `force_commit`, `wait_empty` of the consumer;
`_create_worker_consumer`, `_commit` of its thread; `_do_heartbeat` of the group coordinator.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message

from app.streaming.batches import Batch, batch_of, to_message
from app.streaming.ledger import Ledger

if TYPE_CHECKING:
    from app.streaming.application import Application

LONGEST_BATCH: Final = 500
FETCH_WAIT_MS: Final = 100
"""Faust fixes 1,500: so long a backlogged partition waits behind the long poll of drained ones."""

COMMIT_SECONDS: Final = 10.0
"""A commit that hangs (seen after Kafka was killed) is given up and tried again."""

Fetched = Mapping[TP, list[ConsumerRecord]]


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to Kafka: heartbeats go on whatever the agents do."""

    app: "Application"

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Start, and let every heartbeat that is answered renew the lease."""
        await super().on_start()
        lease = self.app.lease
        coordinator = self._ensure_consumer()._coordinator
        heartbeat = coordinator._do_heartbeat

        async def renewing_heartbeat() -> bool:
            sent_at = lease.now
            is_known = bool(await heartbeat())
            if is_known:
                lease.renew(sent_at)
            return is_known

        coordinator._do_heartbeat = renewing_heartbeat

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        # Stock crashes the worker on any error; a commit that failed is simply tried again, and the
        # commit watchdog ends a worker whose commits never succeed.
        consumer = self._ensure_consumer()
        wanted = {
            TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
        }
        try:
            await asyncio.wait_for(consumer.commit(wanted), COMMIT_SECONDS)
        except (CommitFailedError, IllegalStateError):
            return False  # The group rebalanced: whoever owns the partitions reads them again.
        except (KafkaError, TimeoutError) as error:
            self.log.warning("commit_failed", extra={"error": type(error).__name__})
            return False
        return True


class Consumer(driver.Consumer):
    """Hands out batches, and commits the acknowledged prefix of each partition."""

    app: "Application"
    _thread: ConsumerThread

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ledgers: defaultdict[TP, Ledger] = defaultdict(Ledger)

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

    async def wait_empty(self) -> None:
        """Let the batches in hand finish, for a bounded time, and commit what is acknowledged."""
        await self.app.drain()
        await self.commit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the ledgers, after the drain that this leads to."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self.ledgers.pop(tp, None)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Start anew with the partitions that the group gave."""
        self.app.lease.renew()
        self._buffered_partitions.clear()
        self.app.lanes.open()
        await super().on_partitions_assigned(assigned, generation_id)

    # Fetch and hand out

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Fetched:
        # Stock hands aiokafka the live set. When recovery empties it during a fetch, aiokafka
        # takes it for "all partitions", and Faust drops the records that it did not ask for.
        if active_partitions is None:
            return await self._thread.getmany(None, timeout)
        frozen = frozenset(active_partitions)
        if not frozen:
            return {}
        return await self._thread.getmany(frozen, timeout)  # type: ignore[arg-type] # only read

    async def _wait_next_records(self, timeout: float) -> tuple[Fetched | None, set[TP] | None]:
        # Stock sleeps a whole second when every partition is paused or full.
        if self.flow_active and not self.app.client_only and not self._get_active_partitions():
            await self.sleep(0.005)
            return {}, set()
        return await super()._wait_next_records(timeout)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await self._hand_out()
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    async def _hand_out(self) -> None:
        # A partition that was full may have room before the wait for the others is over.
        timeout = 0.02 if self._buffered_partitions else 1.0
        fetched, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if fetched is None or self.should_stop:
            return
        if not self.flow_active:
            # A rebalance began during the fetch: recovery seeks back before the flow goes on.
            return
        if not fetched:
            await asyncio.sleep(0)
            return
        messages = self._messages(fetched, active, generation)
        # The flow's suspension ends a wait for room in a queue when a rebalance begins.
        await self.wait_first(self._deliver(messages, generation), self.suspend_flow.wait())

    async def _deliver(self, messages: Iterator[ConsumerMessage], generation: int) -> None:
        for message in messages:
            if self.app.consumer_generation_id != generation or not self.flow_active:
                return  # These will be fetched again.
            batch = batch_of(message)
            if batch is not None and not self._is_changelog_tp(message.tp):
                batch.delivery = self.ledgers[message.tp].deliver(batch[0].offset, batch[-1].offset)
            await self.callback(message)
            self._read_offset[message.tp] = message.offset + 1
            await asyncio.sleep(0)

    def _messages(
        self, fetched: Fetched, active: set[TP] | None, generation: int
    ) -> Iterator[ConsumerMessage]:
        """The messages of one fetch, partitions in turn: none waits for another's backlog."""
        rows = []
        for tp, records in fetched.items():
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            read = self._read_offset[tp]
            new = [r for r in records if r.offset >= read] if read is not None else list(records)
            if new:
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
