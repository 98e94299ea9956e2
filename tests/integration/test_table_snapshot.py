"""A table's partition and its snapshot on a real Redis, through losses, takeovers and restarts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import faust
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis as RedisClient
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from app.errors import PartitionLost
from app.keys import TableKey
from dev.servers import Redis
from tables import holdings, snapshot
from tables.holdings import OUTAGES, Holdings
from tables.partition import Partition
from tables.redis_table import RedisTable
from tables.snapshot import Fenced, Snapshot, WritesLost

KEY = TableKey("group", "table", 0)
KEYS = (KEY.meta, *KEY.shards)
Entry = tuple[bytes, bytes | None]


class FaultyRedis(RedisClient):
    """A client whose connection breaks at one of its next scripts, before or after it has run."""

    scripts_left = -1
    is_run_before_breaking = False

    def break_after(self, scripts: int, *, is_run: bool) -> None:
        self.scripts_left, self.is_run_before_breaking = scripts, is_run

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] == "EVALSHA" and self.scripts_left >= 0:
            self.scripts_left -= 1
            if self.scripts_left < 0:
                if self.is_run_before_breaking:
                    await self._execute(*args, **options)
                raise RedisConnectionError("broken by the test")
        return await self._execute(*args, **options)

    async def _execute(self, *args: Any, **options: Any) -> Any:
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call] # redis-py's


class SlowPipeline(Pipeline):
    """A pipeline that is answered after a while."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        await asyncio.sleep(0.15)
        return await super().execute(raise_on_error)


class SlowRedis(RedisClient):
    """A client whose pipelines take a while."""

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        return SlowPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


def connect(server: Redis) -> FaultyRedis:
    return FaultyRedis(port=server.port, retry=Retry(NoBackoff(), 0), socket_timeout=2)


async def stored(client: RedisClient) -> dict[bytes, bytes]:
    """The partition as Redis has it."""
    found: dict[bytes, bytes] = {}
    for shard in KEY.shards:
        found.update(cast("dict[bytes, bytes]", await client.hgetall(shard)))
    return found


def fold(entries: list[Entry]) -> dict[bytes, bytes]:
    table: dict[bytes, bytes] = {}
    for key, value in entries:
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
    return table


class SnapshotMachine(RuleBasedStateMachine):
    """One partition of a table: its owner, owners before it that still flush, Kafka and Redis."""

    def __init__(self, server: Redis, run: Callable[[Any], Any]) -> None:
        super().__init__()
        self.run = run
        self.redis = connect(server)
        self.run(self.redis.flushall())
        self.changelog: list[Entry] = []
        self.sending: list[Entry] = []
        self.generation = 0
        self.zombies: list[Holdings] = []
        self.backups: list[dict[str, bytes]] = []

    def teardown(self) -> None:
        self.run(self.redis.aclose())

    @initialize()
    def begin(self) -> None:
        self.take_over()

    @property
    def partition(self) -> Partition:
        return self.holdings.hold(0)

    def take_over(self) -> None:
        """A process that knows nothing gets the partition, and recovers it."""
        self.generation += 1
        self.holdings = Holdings(self.redis, KEY.group, KEY.table, 3600)
        self.retake()
        assert self.partition.data == fold(self.changelog)

    def retake(self) -> None:
        self.run(self.holdings.retake({0: len(self.changelog)}, self.generation, 5))
        offset = self.partition.offset
        for index in range(0 if offset is None else offset + 1, len(self.changelog)):
            self.partition.merge(index, *self.changelog[index])

    @rule(
        entries=st.lists(
            st.tuples(
                st.sampled_from([b"a", b"b", b"c", b"d", b"e"]),
                st.none() | st.integers(0, 9).map(lambda n: b"%d" % n),
            ),
            min_size=1,
            max_size=6,
        )
    )
    def write(self, entries: list[Entry]) -> None:
        for key, value in entries:
            self.partition.set(key, value)
        self.sending += self.partition.take_unsent().items()

    @precondition(lambda self: self.sending)
    @rule(count=st.integers(1, 6))
    def acknowledge(self, count: int) -> None:
        for key, value in self.sending[:count]:
            self.partition.acknowledge(len(self.changelog), key, value)
            self.changelog.append((key, value))
        del self.sending[:count]

    @rule()
    def flush(self) -> None:
        self.run(self.holdings.flush())
        assert self.holdings.is_flushed
        assert self.partition.offset == (len(self.changelog) - 1 if self.changelog else None)
        assert self.run(stored(self.redis)) == fold(self.changelog)

    @rule(scripts=st.integers(0, 3), is_run=st.booleans())
    def flush_over_a_breaking_connection(self, scripts: int, is_run: bool) -> None:
        self.redis.break_after(scripts, is_run=is_run)
        try:
            self.run(self.holdings.flush())
        except OUTAGES:
            assert not self.holdings.is_flushed or not self.partition.is_dirty
        self.redis.scripts_left = -1

    @rule()
    def redis_is_saved(self) -> None:
        found = {key: self.run(self.redis.dump(key)) for key in KEYS}
        self.backups.append({key: dump for key, dump in found.items() if dump is not None})

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def redis_comes_back_as_it_was(self, data: st.DataObject) -> None:
        backup = data.draw(st.sampled_from(self.backups))
        self.run(self.redis.flushdb())
        for key, dump in backup.items():
            self.run(self.redis.restore(key, 0, dump))

    @rule()
    def redis_is_flushed(self) -> None:
        self.run(self.redis.flushdb())

    @rule(accepted=st.integers(0, 6), is_alive=st.booleans())
    def another_takes_over(self, accepted: int, is_alive: bool) -> None:
        """Some of what was on its way has reached Kafka, unnoticed by its sender."""
        self.changelog += self.sending[:accepted]
        self.sending.clear()
        if is_alive:
            self.zombies.append(self.holdings)
        self.take_over()

    @rule(accepted=st.integers(0, 6))
    def owner_is_kept_in_a_rebalance(self, accepted: int) -> None:
        self.acknowledge(accepted)
        self.generation += 1
        held = self.partition
        self.retake()
        assert self.partition is held
        if not self.sending:
            assert held.data == fold(self.changelog)

    @precondition(lambda self: self.zombies)
    @rule(data=st.data())
    def zombie_gets_the_partition_back(self, data: st.DataObject) -> None:
        zombie = data.draw(st.sampled_from(self.zombies))
        self.zombies.remove(zombie)
        self.zombies.append(self.holdings)
        self.sending.clear()
        self.holdings = zombie
        self.generation += 1
        self.retake()
        assert self.partition.data == fold(self.changelog)

    @precondition(lambda self: self.zombies)
    @rule(data=st.data())
    def zombie_flushes(self, data: st.DataObject) -> None:
        zombie = data.draw(st.sampled_from(self.zombies))
        partition = zombie.find(0)
        if partition is not None:
            partition.set(b"zombie", b"1")
            partition.take_unsent()
            partition.acknowledge(10_000, b"zombie", b"1")
        self.run(zombie.flush())


def test_table_is_fold_of_changelog_after_losses_takeovers_and_restarts(
    redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SCRIPT_KEYS", 2)  # Several scripts to a flush.
    monkeypatch.setattr(holdings, "LOOK_SECONDS", 0)  # A quiet partition's flush looks at once.
    with asyncio.Runner() as runner:

        def run(work: Any) -> Any:
            async def wait() -> Any:
                return await work

            return runner.run(wait())

        run_state_machine_as_test(
            lambda: SnapshotMachine(redis_server, run),  # type: ignore[arg-type] # any factory does
            settings=settings(
                max_examples=80,
                stateful_step_count=25,
                deadline=None,
                phases=[Phase.generate],  # Shrinking takes minutes; a run is short enough.
                suppress_health_check=list(HealthCheck),
            ),
        )


@pytest.fixture
async def client(redis_server: Redis) -> AsyncIterator[FaultyRedis]:
    client = connect(redis_server)
    await client.flushall()
    yield client
    await client.aclose()


def owner(client: RedisClient, generation: int = 1) -> Snapshot:
    return Snapshot(client, KEY, generation)


async def claimed(client: RedisClient, generation: int = 1) -> Snapshot:
    """An owner that has found nothing, or whatever there is, and goes on from it."""
    snapshot = owner(client, generation)
    await snapshot.claim()
    snapshot.is_whole = True
    return snapshot


def partition_with(*entries: Entry, begin: int = 0) -> Partition:
    partition = Partition()
    merge(partition, *entries, begin=begin)
    return partition


def merge(partition: Partition, *entries: Entry, begin: int) -> None:
    for offset, (key, value) in enumerate(entries, begin):
        partition.merge(offset, key, value)


async def save(client: RedisClient) -> list[tuple[str, bytes]]:
    dumps = [(key, await client.dump(key)) for key in KEYS]
    return [(key, dump) for key, dump in dumps if dump is not None]


async def bring_back(client: RedisClient, saved: list[tuple[str, bytes]]) -> None:
    await client.flushall()
    for key, dump in saved:
        await client.restore(key, 0, dump)


async def test_flush_when_redis_lost_the_one_before_rewrites_everything(
    client: FaultyRedis,
) -> None:
    snapshot = await claimed(client)
    partition = partition_with((b"a", b"1"))
    await snapshot.flush(partition)
    saved = await save(client)
    merge(partition, (b"b", b"1"), begin=1)
    await snapshot.flush(partition)
    await bring_back(client, saved)
    merge(partition, (b"c", b"1"), begin=2)
    assert await snapshot.flush(partition) is True
    assert await stored(client) == {b"a": b"1", b"b": b"1", b"c": b"1"}


async def test_flush_when_redis_is_back_from_an_earlier_owner_rewrites_everything(
    client: FaultyRedis,
) -> None:
    earlier = await claimed(client, 1)
    await earlier.flush(partition_with((b"a", b"0")))
    saved = await save(client)
    snapshot = await claimed(client, 2)
    partition = partition_with((b"a", b"1"))
    await bring_back(client, saved)
    assert await snapshot.flush(partition) is True
    assert await stored(client) == {b"a": b"1"}
    with pytest.raises(Fenced):
        await earlier.flush(Partition())


async def test_flush_when_another_has_claimed_is_fenced_and_writes_nothing(
    client: FaultyRedis,
) -> None:
    zombie = await claimed(client, 1)
    await claimed(client, 2)
    with pytest.raises(Fenced):
        await zombie.flush(partition_with((b"a", b"1")))
    assert await stored(client) == {}


async def test_flush_when_broken_before_it_ran_keeps_its_changes(client: FaultyRedis) -> None:
    snapshot = await claimed(client)
    partition = partition_with((b"a", b"1"))
    client.break_after(0, is_run=False)
    with pytest.raises(RedisConnectionError):
        await snapshot.flush(partition)
    client.scripts_left = -1
    assert partition.is_dirty
    merge(partition, (b"b", b"1"), begin=1)
    await snapshot.flush(partition)
    assert await stored(client) == {b"a": b"1", b"b": b"1"}


async def test_flush_when_its_answer_was_lost_is_repeated_without_a_rewrite(
    client: FaultyRedis,
) -> None:
    snapshot = await claimed(client)
    partition = partition_with((b"a", b"1"))
    client.break_after(0, is_run=True)
    with pytest.raises(RedisConnectionError):
        await snapshot.flush(partition)
    client.scripts_left = -1
    assert await snapshot.flush(partition) is False
    assert await stored(client) == {b"a": b"1"}


async def test_flush_when_broken_between_its_scripts_moves_no_offset(
    client: FaultyRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SCRIPT_KEYS", 1)
    first = await claimed(client)
    await first.flush(partition_with((b"a", b"0")))
    client.break_after(1, is_run=False)
    with pytest.raises(RedisConnectionError):
        await first.flush(partition_with((b"a", b"1"), (b"b", b"1"), begin=1))
    found = await owner(client, 2).claim()
    # Newer data under an older offset: the replay behind it ends at the same table.
    assert (found.offset, found.find_flaw(3, 60)) == (0, None)
    assert await stored(client) == {b"a": b"1"}


async def test_rewrite_when_broken_between_its_scripts_leaves_nothing_to_use(
    client: FaultyRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SCRIPT_KEYS", 1)
    first = await claimed(client)
    partition = partition_with((b"a", b"1"), (b"b", b"1"))
    await first.flush(partition)
    first.is_whole = False
    client.break_after(2, is_run=False)
    with pytest.raises(RedisConnectionError):
        await first.flush(partition)
    assert (await owner(client, 2).claim()).find_flaw(2, 60) == "unfinished"


async def test_rewrite_when_its_first_script_comes_late_empties_nothing(
    client: FaultyRedis,
) -> None:
    snapshot = await claimed(client)
    partition = partition_with((b"a", b"1"))
    snapshot.is_whole = False
    await snapshot.flush(partition)
    snapshot._attempted = 0  # As an attempt did that was not answered, and arrives only now.
    with pytest.raises(WritesLost):
        await snapshot._empty()
    assert await stored(client) == {b"a": b"1"}


async def test_claim_when_entries_are_missing_finds_it_incomplete(client: FaultyRedis) -> None:
    await (await claimed(client)).flush(partition_with((b"a", b"1"), (b"b", b"1")))
    await client.delete(*KEY.shards)  # As an eviction would.
    assert (await owner(client, 2).claim()).find_flaw(2, 60) == "incomplete"


async def test_claim_when_entries_went_missing_before_a_flush_finds_it_incomplete(
    client: FaultyRedis,
) -> None:
    snapshot = await claimed(client)
    partition = partition_with((b"a", b"1"), (b"b", b"1"))
    await snapshot.flush(partition)
    await client.delete(*KEY.shards)  # As an eviction would.
    merge(partition, (b"a", b"2"), (b"c", b"1"), (b"b", None), begin=2)
    await snapshot.flush(partition)
    assert (await owner(client, 2).claim()).find_flaw(5, 60) == "incomplete"


async def test_claim_when_offset_is_beyond_the_changelog_finds_it(client: FaultyRedis) -> None:
    await (await claimed(client)).flush(partition_with((b"a", b"1"), (b"b", b"1")))
    found = await owner(client, 2).claim()
    assert found.find_flaw(2, 60) is None
    assert found.find_flaw(1, 60) == "beyond_changelog"


async def test_claim_when_snapshot_is_older_than_deletions_are_kept_finds_it_too_old(
    client: FaultyRedis,
) -> None:
    await (await claimed(client)).flush(partition_with((b"a", b"1")))
    await client.hincrby(KEY.meta, "flushed_at", -100)
    found = await owner(client, 2).claim()
    assert found.find_flaw(1, 200) is None
    assert found.find_flaw(1, 99) == "too_old"


async def test_quiet_partition_is_flushed_again_so_that_it_does_not_grow_old(
    client: FaultyRedis,
) -> None:
    snapshot = await claimed(client)
    partition = partition_with((b"a", b"1"))
    await snapshot.flush(partition)
    await client.hincrby(KEY.meta, "flushed_at", -100)
    await snapshot.flush(partition)
    assert (await owner(client, 2).claim()).find_flaw(1, 99) is None


async def test_flush_when_large_keeps_each_script_small(client: FaultyRedis) -> None:
    snapshot = await claimed(client)
    entries = [(b"%d" % n, b"x" * 700) for n in range(5000)]
    partition = partition_with(*entries, *((key, None) for key, _ in entries[:100]))
    before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    await snapshot.flush(partition)
    scripts = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
    assert scripts >= 5000 * 700 // (512 * 1024)
    assert len(await stored(client)) == 4900


async def test_claim_when_redis_is_down_begins_empty_and_rewrites_when_it_is_back(
    client: FaultyRedis, redis_server: Redis
) -> None:
    await (await claimed(client)).flush(partition_with((b"old", b"1")))
    redis_server.freeze()
    try:
        impatient = RedisClient(port=redis_server.port, socket_timeout=5)
        held = Holdings(impatient, KEY.group, KEY.table, 60)
        await held.retake({0: 3}, 2, 0.5)
    finally:
        redis_server.thaw()
    assert held.hold(0).offset is None
    held.hold(0).merge(2, b"new", b"1")
    assert await held.flush() == {0}
    await impatient.aclose()
    assert await stored(client) == {b"new": b"1"}
    assert (await owner(client, 3).claim()).offset == 2


async def test_claim_when_redis_answers_slowly_reads_on_beyond_its_patience(
    client: FaultyRedis,
) -> None:
    entries = [(b"%d" % n, b"1") for n in range(1000)]
    await (await claimed(client)).flush(partition_with(*entries))
    held = Holdings(SlowRedis(connection_pool=client.connection_pool), KEY.group, KEY.table, 60)
    await held.retake({0: 1000}, 2, 1.5)
    assert held.hold(0).data == dict(entries)
    assert held.hold(0).offset == 999


async def test_retake_when_a_generation_was_missed_loads_anew(client: FaultyRedis) -> None:
    held = Holdings(client, KEY.group, KEY.table, 60)
    await held.retake({0: 0}, 1, 5)
    stale = held.hold(0)
    await held.retake({0: 0}, 2, 5)
    assert held.hold(0) is stale
    await held.retake({0: 0}, 4, 5)
    assert held.hold(0) is not stale


async def test_fenced_partition_is_dropped_and_raises(client: FaultyRedis) -> None:
    held = Holdings(client, KEY.group, KEY.table, 60)
    await held.retake({0: 0}, 1, 5)
    await claimed(client, 2)
    held.hold(0).merge(0, b"a", b"1")
    await held.flush()
    with pytest.raises(PartitionLost):
        held.hold(0)


async def test_reset_state_deletes_every_partition(
    client: FaultyRedis, redis_server: Redis
) -> None:
    app = faust.App(
        KEY.group,
        store=f"redis://{redis_server.address}/0",
        Table=RedisTable,
        table_standby_replicas=0,
        topic_partitions=1,
    )
    table = app.Table(KEY.table)
    await (await claimed(client)).flush(partition_with((b"a", b"1")))
    assert await client.exists(*KEYS) == 2
    table.reset_state()
    assert await client.exists(*KEYS) == 0
