"""The partitions of one table that this process holds: taken, flushed, dropped.

Invariant: Redis gets what the changelog has, never more. A partition that is taken over is loaded,
and only the changelog behind it is left to be replayed.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.errors import PartitionLost
from app.keys import TableKey
from tables.metrics import DISCARDED, FENCED, FLUSH_SECONDS, REWRITES
from tables.partition import Partition
from tables.snapshot import Claim, Fenced, Interrupted, Snapshot, WritesLost

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
"""A partition without changes is flushed too after this time: a Redis that lost everything is
noticed, and the snapshot does not grow old while nothing happens."""

FIRST_BACKOFF_SECONDS: Final = 0.05
LONGEST_BACKOFF_SECONDS: Final = 1.0
"""A Redis that is back is used within 2 s."""

OUTAGES: Final = (RedisError, OSError, TimeoutError)


@dataclass(slots=True)
class _Held:
    """A partition, its snapshot, and when that was last looked at."""

    partition: Partition
    snapshot: Snapshot
    flushed_at: float = 0.0


class Holdings:
    """What this process holds of `table`, a table of the consumer group `group`.

    `retention_seconds`: how old a snapshot may be when it is taken over.
    """

    def __init__(self, redis: Redis, group: str, table: str, retention_seconds: float) -> None:
        self._redis = redis
        self._group = group
        self._table = table
        self._retention_seconds = retention_seconds
        self._held: dict[int, _Held] = {}
        # One flush at a time: the steps of a snapshot are a chain.
        self._lock = asyncio.Lock()
        self._is_retaking = False

    def __iter__(self) -> Iterator[tuple[int, Partition]]:
        return ((number, held.partition) for number, held in list(self._held.items()))

    @property
    def is_flushed(self) -> bool:
        """Whether Redis has everything that the changelog is known to have."""
        return all(h.snapshot.is_whole and not h.partition.is_dirty for h in self._held.values())

    def find(self, number: int) -> Partition | None:
        """Return a partition, or None if it is not held."""
        held = self._held.get(number)
        return None if held is None else held.partition

    def hold(self, number: int) -> Partition:
        """Return a partition.

        Raises:
            PartitionLost: it is not held, or not any more.
        """
        partition = self.find(number)
        if partition is None:
            raise PartitionLost(f"partition {number} of table {self._table} is not held here")
        return partition

    def drop_all(self) -> None:
        """Forget everything; Redis keeps what it has."""
        self._held.clear()

    async def flush(self) -> set[int]:
        """Write what the changelog has brought; return the partitions that were written whole.

        Raises:
            redis.RedisError, OSError, TimeoutError: Redis is away. Nothing is lost.
        """
        async with self._lock:
            return {
                number
                for number, held in list(self._held.items())
                if await self._flush_one(number, held)
            }

    async def _flush_one(self, number: int, held: _Held) -> bool:
        began = time.monotonic()
        is_due = began - held.flushed_at >= LOOK_SECONDS
        if held.snapshot.is_whole and not held.partition.is_dirty and not is_due:
            return False
        try:
            was_rewritten = await held.snapshot.flush(held.partition, self._give_way)
        except Fenced:
            del self._held[number]
            FENCED.labels(self._table).inc()
            log.error("table_partition_fenced", extra=self._fields(number))  # noqa: TRY400 - no fault
            return False
        except (WritesLost, Interrupted):
            return False  # The next flush goes on, or begins the rewrite again.
        held.flushed_at = time.monotonic()
        FLUSH_SECONDS.labels(self._table).observe(held.flushed_at - began)
        if was_rewritten:
            REWRITES.labels(self._table).inc()
            log.warning("table_partition_rewritten", extra=self._fields(number))
        return was_rewritten

    def _give_way(self) -> None:
        # A rebalance waits for the lock, and heartbeats stand still meanwhile.
        if self._is_retaking:
            raise Interrupted

    async def retake(
        self, ends: Mapping[int, int], generation: int, patience_seconds: float
    ) -> None:
        """Hold exactly the partitions of `ends` from now on; drop the others.

        `ends`: each partition's changelog end, the offset that its next record will get. What was
        held in the generation just before is kept: nobody can have owned it in between. Where Redis
        does not answer within `patience_seconds`, the partition starts empty, to be replayed; one
        that has begun to answer is read to the end.
        """
        deadline = time.monotonic() + patience_seconds
        self._is_retaking = True
        try:
            async with self._lock:
                for number, held in list(self._held.items()):
                    if number in ends and held.snapshot.generation in (generation - 1, generation):
                        held.snapshot.generation = generation
                    else:
                        del self._held[number]
                fresh = sorted(ends.keys() - self._held.keys())
                claimed = await asyncio.gather(
                    *(self._claim(number, generation, ends[number], deadline) for number in fresh)
                )
                self._held.update(zip(fresh, claimed, strict=True))
        finally:
            self._is_retaking = False

    async def _claim(self, number: int, generation: int, end: int, deadline: float) -> _Held:
        key = TableKey(self._group, self._table, number)
        snapshot = Snapshot(self._redis, key, generation)
        seconds = FIRST_BACKOFF_SECONDS
        while True:
            try:
                async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                    claim = await snapshot.claim()
                # A Redis that answers is waited for: each of its answers has its own time-out, and
                # a replay in its stead takes longer.
                partition = await self._load(snapshot, claim, number, end)
            except OUTAGES as error:
                if time.monotonic() + seconds >= deadline:
                    fields = {**self._fields(number), "error": type(error).__name__}
                    log.warning("table_claim_fails", extra=fields)
                    return _Held(Partition(), snapshot)
                await asyncio.sleep(seconds)
                seconds = min(seconds * 2, LONGEST_BACKOFF_SECONDS)
            else:
                return _Held(partition, snapshot, time.monotonic())

    async def _load(self, snapshot: Snapshot, claim: Claim, number: int, end: int) -> Partition:
        flaw = claim.find_flaw(end, self._retention_seconds)
        if flaw is None:
            data = await snapshot.load()
            if len(data) == claim.length:
                snapshot.is_whole = True
                return Partition(data, claim.offset)
            flaw = "changed_by_others"
        DISCARDED.labels(self._table, flaw).inc()
        log.warning("table_snapshot_discarded", extra={**self._fields(number), "reason": flaw})
        return Partition()

    def _fields(self, number: int) -> dict[str, Any]:
        return {"table": self._table, "partition": number}
