"""The store of Faust tables for redis:// and rediss://: memory for agents, Redis behind it."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from faust.exceptions import ImproperlyConfigured
from faust.stores.base import SerializedStore
from faust.streams import current_event
from faust.types import TP
from mode import Service
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.keys import TableKey
from tables.holdings import LONGEST_BACKOFF_SECONDS, OUTAGES, Holdings
from tables.metrics import UNFLUSHED_SECONDS
from tables.partition import Partition

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 1.0
"""As long as between two commits: a takeover replays as much of a changelog as of its source. A
key that changes with every message is written once a second, not with each."""

LAST_FLUSH_SECONDS: Final = 2.0
SOCKET_SECONDS: Final = 2.0

DELETE_RETENTION_SECONDS: Final = 24 * 3600.0
"""Kafka's default of `delete.retention.ms`."""

_RETENTION_SHARE: Final = 0.9
"""The rest is for the replay, which must end before the deletions behind the snapshot are gone."""

_PROJECTION_ENTRIES: Final = 1000

_PROJECTION_PAUSE: Final = 1.0
"""As long as it takes to project some entries, the records that wait have the worker for
themselves: mostly the projections that a takeover writes again are there already."""

Projection = Callable[[Redis, Sequence[tuple[bytes, bytes]]], Awaitable[None]]
"""Writes entries of a table, as they are in its changelog, where gateways read them."""


class RedisStore(SerializedStore[Any, Any]):
    """A table's partitions in memory, with snapshots in Redis.

    Options of the table: `delete_retention_seconds`, its changelog's `delete.retention.ms`, if that
    is not Kafka's default; `projection`, called with all entries of a partition after it was taken
    over and after it was rewritten.
    """

    # Faust's chatter stays Faust's.
    logger = logging.getLogger("faust.stores")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refuse_unsafe_table()
        options = self.options or {}
        retention = options.get("delete_retention_seconds", DELETE_RETENTION_SECONDS)
        self._projection: Projection | None = options.get("projection")
        # It connects when the first partition is claimed. It repeats nothing by itself: a repeated
        # script would find its own first run, and take Redis for one that lost writes.
        self._redis = Redis.from_url(
            str(self.url),
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        group = self.app.conf.id
        self._holdings = Holdings(self._redis, group, self.table_name, retention * _RETENTION_SHARE)
        self._unprojected: set[int] = set()
        self._flushed_at = time.monotonic()

    def _refuse_unsafe_table(self) -> None:
        table: Any = self.table
        if table.is_global or table.use_partitioner:
            detail = "each partition must have one writer: no GlobalTable, no use_partitioner"
        elif not getattr(table, "reports_acknowledgements", False):
            detail = "Table='tables.redis_table:RedisTable' belongs to this store"
        elif self.app.conf.table_standby_replicas:
            detail = "table_standby_replicas must be 0: a standby would claim what its active owns"
        else:
            return
        raise ImproperlyConfigured(f"table {self.table_name} in Redis: {detail}")

    async def on_stop(self) -> None:
        """Flush once more, within two seconds, and close the client."""
        await self.flush_within(LAST_FLUSH_SECONDS)
        self._holdings.drop_all()
        await self._redis.aclose()

    # Flushing.

    @Service.task
    async def _flush_in_background(self) -> None:
        seconds = FLUSH_SECONDS
        while not self.should_stop:
            await self.sleep(seconds * random.uniform(0.75, 1.0))
            try:
                await self.flush()
            except OUTAGES as error:
                if seconds == FLUSH_SECONDS:
                    self._log_outage("table_flush_fails", error)
                seconds = min(seconds * 2, LONGEST_BACKOFF_SECONDS)
            else:
                seconds = FLUSH_SECONDS

    async def flush(self) -> None:
        """Write to Redis what the changelog has, of all partitions.

        Raises:
            redis.RedisError, OSError, TimeoutError: Redis is away. Nothing is lost.
        """
        try:
            self._unprojected |= await self._holdings.flush()
        finally:
            now = time.monotonic()
            if self._holdings.is_flushed:
                self._flushed_at = now
            UNFLUSHED_SECONDS.labels(self.table_name).set(now - self._flushed_at)

    async def flush_within(self, seconds: float) -> bool:
        """Flush, but not longer than `seconds`; return whether Redis has all. Raises no outage."""
        try:
            await asyncio.wait_for(self.flush(), seconds)
        except OUTAGES as error:
            self._log_outage("table_flush_fails", error)
        return self._holdings.is_flushed

    # Claiming and recovery.

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Claim and load what is assigned now, drop what is not.

        A Redis that is silent for half a session timeout is gone on without.
        """
        if generation_id != self.app.consumer_generation_id:
            return  # The next generation's call is on its way.
        topic = self._changelog
        tps = [tp for tp in assigned if tp.topic == topic]
        # Asked here, since recovery would read on from wherever this store says.
        ends = await self.app.consumer.highwaters(*tps) if tps else {}
        await self._holdings.retake(
            {tp.partition: end for tp, end in ends.items()},
            generation_id,
            float(self.app.conf.broker_session_timeout) / 2,
        )

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog's offset up to which the partition is in memory."""
        partition = self._holdings.find(tp.partition)
        return None if partition is None else partition.offset

    async def need_active_standby_for(self, tp: TP) -> bool:
        """No: Redis has the partition."""
        return False

    def apply_changelog_batch(
        self,
        batch: Iterable[Any],
        to_key: Callable[[Any], Any],
        to_value: Callable[[Any], Any],
    ) -> None:
        """Merge changelog entries, one or many to a message, into memory."""
        for event in batch:
            message = event.message
            partition = self._holdings.find(message.partition)
            if partition is None:
                continue  # Revoked meanwhile.
            records = message.value if isinstance(message.value, list) else (message,)
            for record in records:
                partition.merge(record.offset, record.key, record.value)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Have the projections of what is held now written; what was replayed is being flushed."""
        self._unprojected |= {number for number, _ in self._holdings}

    @Service.task
    async def _project_in_background(self) -> None:
        if self._projection is None:
            return
        while not self.should_stop:
            await self.sleep(FLUSH_SECONDS)
            if not self.app.tables.actives_ready:
                continue  # Still being replayed.
            try:
                while self._unprojected:
                    number = min(self._unprojected)
                    await self._project(self._projection, number)
                    self._unprojected.discard(number)
            except OUTAGES as error:
                self._log_outage("table_projection_fails", error)
                await self.sleep(LONGEST_BACKOFF_SECONDS)

    async def _project(self, project: Projection, number: int) -> None:
        partition = self._holdings.find(number)
        entries = [] if partition is None else list(partition.data.items())
        for start in range(0, len(entries), _PROJECTION_ENTRIES):
            began = time.monotonic()
            await project(self._redis, entries[start : start + _PROJECTION_ENTRIES])
            await asyncio.sleep((time.monotonic() - began) * _PROJECTION_PAUSE)

    # The mapping, as agents use it.

    def hold(self, number: int) -> Partition:
        """Return a partition that this process owns.

        Raises:
            PartitionLost: it does not, or does no more.
        """
        return self._holdings.hold(number)

    def find(self, key: Any) -> Any:
        """Return the value of `key`, or None."""
        value = self._get(self._encode_key(key))
        return None if value is None else self._decode_value(value)

    def encode(self, key: Any, value: Any) -> tuple[bytes, bytes | None]:
        """Return a key and a value as the changelog and Redis have them."""
        return self._encode_key(key), self._encode_value(value)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Write what `encode` returned to memory, in the partition of the current event."""
        self._set(key, value)

    def _current(self) -> Partition:
        event = current_event()
        if event is None:
            raise TypeError(f"table {self.table_name} is changed outside of a stream's event")
        return self.hold(event.message.partition)

    def _get(self, key: bytes) -> bytes | None:
        if current_event() is not None:
            return self._current().data.get(key)
        found = (partition.data.get(key) for _, partition in self._holdings)
        return next((value for value in found if value is not None), None)

    def _set(self, key: bytes, value: bytes | None) -> None:
        self._current().set(key, value)

    def _del(self, key: bytes) -> None:
        self._current().set(key, None)

    def _contains(self, key: bytes) -> bool:
        return self._get(key) is not None

    def _iteritems(self) -> Iterator[tuple[bytes, bytes]]:
        for _, partition in self._holdings:
            # A copy: agents go on writing while a sweep walks over a table.
            yield from list(partition.data.items())

    def _iterkeys(self) -> Iterator[bytes]:
        return (key for key, _ in self._iteritems())

    def _itervalues(self) -> Iterator[bytes | None]:
        return (value for _, value in self._iteritems())

    def _size(self) -> int:
        return sum(len(partition.data) for _, partition in self._holdings)

    def _clear(self) -> None:
        raise NotImplementedError("a table in Redis is emptied by `faust reset`, or key by key")

    # What operators call.

    def reset_state(self) -> None:
        """Delete every partition's snapshot; `faust reset` calls this while no worker runs."""
        group, count = self.app.conf.id, self.table.partitions or self.app.conf.topic_partitions
        keys = [TableKey(group, self.table_name, number) for number in range(count)]
        with BlockingRedis.from_url(str(self.url), socket_timeout=SOCKET_SECONDS) as client:
            client.unlink(*(name for key in keys for name in (key.meta, *key.shards)))

    async def backup_partition(
        self, tp: TP | int, flush: bool = True, purge: bool = False, keep: int = 1
    ) -> None:
        """Not supported."""
        raise NotImplementedError("the changelog is a table's backup")

    def restore_backup(self, tp: TP | int, latest: bool = True, backup_id: int = 0) -> None:
        """Not supported."""
        raise NotImplementedError("the changelog is a table's backup")

    @property
    def _changelog(self) -> str:
        return self.table.changelog_topic.get_topic_name()

    def _log_outage(self, event: str, error: BaseException) -> None:
        log.warning(event, extra={"table": self.table_name, "error": type(error).__name__})
