"""A partition's snapshot in Redis: claimed, loaded, and kept equal to the changelog.

Invariant: once an offset is there, replaying the changelog behind it onto data gives the table. The
writes of an owner are a chain: each has the next step's number and is done only if the step before
it is the last one in Redis, under our token. So a write that Redis lost is noticed by the next one.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from app.keys import TABLE_SHARDS, TableKey
from tables.partition import Changes, Partition

LOAD_SHARDS: Final = 4
"""Shards asked for at a time. Whole hashes: to scan one costs Redis three times as much."""

SCRIPT_KEYS: Final = 1000
SCRIPT_BYTES: Final = 512 * 1024
"""A flush is cut into scripts of at most so much, so that none keeps Redis from others for long.

Only the last of them carries the offset. Whoever claims in between finds entries that are newer
than the offset says, each as the changelog has it further on: the replay ends at the same table.
"""

_FOLDER: Final = Path(__file__).parent
_PRELUDE: Final = (_FOLDER / "owner.lua").read_text()


class Fenced(Exception):  # noqa: N818 - said of a partition
    """Another owner has claimed the partition."""


class WritesLost(Exception):  # noqa: N818 - said of Redis
    """Redis has not got what we wrote: it was flushed, or is back with older data."""


class Interrupted(Exception):  # noqa: N818 - said of a flush
    """A flush gave way; what it has not written is kept for the next one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What was found at a claim. `count` is what flushes have added, `length` what is there."""

    offset: int | None
    count: int | None
    length: int
    age_seconds: int | None

    def find_flaw(self, changelog_end: int, retention_seconds: float) -> str | None:
        """Say why this snapshot must not be used; None if it may.

        `changelog_end` is the offset that the changelog's next record will get. A snapshot older
        than `retention_seconds` may have missed deletions: Kafka keeps their records no longer.
        """
        if self.offset is None:
            return "unfinished" if self.length else None
        if self.count != self.length:
            return "incomplete"
        if self.offset >= changelog_end:
            return "beyond_changelog"
        if self.age_seconds is None or self.age_seconds > retention_seconds:
            return "too_old"
        return None


class Snapshot:
    """The writes of one owner to one partition's keys. Not safe for two tasks at once."""

    def __init__(self, redis: Redis, key: TableKey, generation: int) -> None:
        self.generation = generation
        self.is_whole = False
        """Whether Redis has what we believe it has; if not, the next flush rewrites everything."""
        self._redis = redis
        self._key = key
        self._keys = (key.meta, *key.shards)
        self._token = secrets.token_hex(16)
        self._is_claimed = False
        # Steps up to `_confirmed` were answered; those up to `_attempted` may have been done.
        self._confirmed = self._attempted = 0
        self._claim, self._flush, self._rewrite = (
            _register(redis, name) for name in ("claim.lua", "flush.lua", "rewrite.lua")
        )

    async def claim(self) -> Claim:
        """Become the owner, so that no write of an earlier one is done any more.

        Raises:
            redis.RedisError: repeat it; doing it twice does no harm.
        """
        offset, count, length, age = await self._claim(
            keys=self._keys, args=(self._token, self.generation)
        )
        self._is_claimed = True
        return Claim(_int(offset), _int(count), int(length), _int(age))

    async def load(self) -> dict[bytes, bytes]:
        """Return all entries. Only after a claim does nobody else change them meanwhile."""
        entries: dict[bytes, bytes] = {}
        for start in range(0, len(self._key.shards), LOAD_SHARDS):
            pipeline = self._redis.pipeline(transaction=False)
            for shard in self._key.shards[start : start + LOAD_SHARDS]:
                pipeline.hgetall(shard)
            for found in await pipeline.execute():
                entries.update(found)
        return entries

    async def flush(
        self, partition: Partition, give_way: Callable[[], None] = lambda: None
    ) -> bool:
        """Write what has changed, or everything if Redis is not whole; return whether it was that.

        Without changes it still looks whether we are the owner, and says that we are up to date.

        Raises:
            Fenced: the partition is another's.
            WritesLost: they were lost during the rewrite; nothing is, the next flush begins again.
            Interrupted: `give_way`, called between two scripts, raised it.
            redis.RedisError: nothing is lost: call again later.
        """
        if self.is_whole:
            try:
                await self._write(partition.take_changes(), partition.put_back, give_way)
            except WritesLost:
                self.is_whole = False
            else:
                return False
        await self._empty()
        # A copy: what the broker acknowledges from here on is left for the next flush.
        await self._write(partition.take_image(), lambda _: None, give_way)
        self.is_whole = True
        return True

    async def _write(
        self,
        changes: Changes,
        put_back: Callable[[dict[bytes, bytes | None]], None],
        give_way: Callable[[], None],
    ) -> None:
        entries = list(changes.entries.items())
        offset = "" if changes.offset is None else changes.offset
        written = 0
        try:
            for end in _cut(entries):
                if written:
                    give_way()
                part = entries[written:end]
                await self._step(part, offset if end == len(entries) else "")
                written = end
        except BaseException:
            # Also when cancelled, and also what may have been done: doing it again changes nothing.
            put_back(dict(entries[written:]))
            raise

    async def _step(self, entries: Sequence[tuple[bytes, bytes | None]], offset: int | str) -> None:
        lowest, highest = self._confirmed, self._attempted
        # Each attempt has a number of its own: one that was not answered, and reaches a frozen
        # Redis when it wakes, is refused if a later one was there before it.
        self._attempted += 1
        head = (self._token, self.generation, lowest, highest, self._attempted, offset)
        shards, arguments = _sort(entries)
        # No others: to name all of them would cost as much as all the rest of a small flush.
        keys = (self._key.meta, *(self._key.shards[number] for number in shards))
        self._accept(await self._flush(keys=keys, args=(*head, *arguments)))

    async def _empty(self) -> None:
        # Who never came to claim has a right that only a later generation takes away.
        fencing_generation = self.generation + (0 if self._is_claimed else 1)
        self._attempted += 1
        answer = await self._rewrite(
            keys=self._keys,
            args=(self._token, self.generation, fencing_generation, self._attempted),
        )
        self._accept(answer)
        self._is_claimed = True

    def _accept(self, answer: bytes) -> None:
        if answer == b"FENCED":
            raise Fenced
        if answer == b"LOST":
            raise WritesLost
        self._confirmed = self._attempted


def _register(redis: Redis, name: str) -> AsyncScript:
    return redis.register_script(f"{_PRELUDE}\n{(_FOLDER / name).read_text()}")


def _cut(entries: Sequence[tuple[bytes, bytes | None]]) -> Iterator[int]:
    """The end of each script's share; at least one script, also for nothing."""
    size = start = 0
    for index, (key, value) in enumerate(entries):
        own = len(key) + len(value or b"")
        if index > start and (index - start >= SCRIPT_KEYS or size + own > SCRIPT_BYTES):
            yield index
            start, size = index, 0
        size += own
    yield len(entries)


def _sort(
    entries: Sequence[tuple[bytes, bytes | None]],
) -> tuple[Collection[int], list[bytes | int]]:
    """The shards that change, and entries as flush.lua wants them: by shard, those to set before
    those to delete."""
    shards: defaultdict[int, tuple[list[bytes], list[bytes]]]
    shards = defaultdict(lambda: ([], []))
    for key, value in entries:
        kept, deleted = shards[crc32(key) % TABLE_SHARDS]
        if value is None:
            deleted.append(key)
        else:
            kept += (key, value)
    arguments: list[bytes | int] = []
    for kept, deleted in shards.values():
        arguments += (len(kept), len(deleted), *kept, *deleted)
    return shards.keys(), arguments


def _int(answer: bytes | int | None) -> int | None:
    return None if answer is None else int(answer)
