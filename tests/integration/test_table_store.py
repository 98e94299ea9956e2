"""A Faust worker with tables in Redis, on a real Kafka and a real Redis."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import faust
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaTimeoutError
from redis.asyncio import Redis as RedisClient

from app.keys import TableKey
from app.streaming.recovery import TableManager
from dev.servers import Kafka, Redis
from tables import holdings, redis_table
from tables.metrics import REWRITES
from tables.redis_store import SOCKET_SECONDS
from tables.redis_table import RedisTable
from tables.snapshot import Snapshot
from tests.support.topics import create_topics
from tests.support.waiting import until

PARTITIONS = 2


class Worker:
    """One Faust app in this process that counts, by key, what it has consumed."""

    def __init__(self, kafka: Kafka, redis: Redis, group: str, folder: Path) -> None:
        self.app = faust.App(
            group,
            broker=f"kafka://{kafka.address}",
            store=f"redis://{redis.address}/0",
            Table=RedisTable,
            TableManager=TableManager,
            table_standby_replicas=0,
            topic_partitions=PARTITIONS,
            topic_allow_declare=True,
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=6,
            broker_heartbeat_interval=1,
            broker_commit_interval=0.2,
            web_enabled=False,
            datadir=str(folder),
        )
        self.projected: dict[bytes, bytes] = {}
        self.table: Any = self.app.Table(
            "counts",
            default=int,
            key_type=str,
            value_type=int,
            options={"projection": self.project},
        )
        source = self.app.topic(group, key_type=str, value_type=bytes, value_serializer="raw")
        self.seen = 0
        table: Any = self.table

        async def count(stream: Any) -> None:
            async for event in stream.events():
                table[event.key] += 1
                await table.settle()
                self.seen += 1

        self.app.agent(source, name="count")(count)

    async def start(self) -> None:
        self.app.finalize()
        await self.app.start()
        await until(lambda: self.app.tables.actives_ready)

    async def project(self, redis: RedisClient, entries: Sequence[tuple[bytes, bytes]]) -> None:
        self.projected.update(entries)

    def counts(self) -> dict[str, int]:
        return dict(self.table.items())


class Bench:
    """A consumer group of the test's own: its topic, its workers, and what Redis has of it."""

    def __init__(self, kafka: Kafka, redis: Redis, client: RedisClient, folder: Path) -> None:
        self.group = f"group-{uuid.uuid4().hex[:8]}"
        self.client = client
        self._kafka, self._redis, self._folder = kafka, redis, folder
        self._sent: dict[str, int] = {}

    async def create_topic(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka.address)
        await admin.start()
        try:
            changelog = NewTopic(
                f"{self.group}-counts-changelog", PARTITIONS, 1,
                topic_configs={"cleanup.policy": "compact"},
            )  # fmt: skip
            await create_topics(admin, [NewTopic(self.group, PARTITIONS, 1), changelog])
        finally:
            await admin.close()

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        worker = Worker(self._kafka, self._redis, self.group, self._folder)
        try:
            await worker.start()
            yield worker
        finally:
            await worker.app.stop()

    async def send(self, *keys: str) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka.address)
        await producer.start()
        try:
            for index, key in enumerate(keys):
                self._sent[key] = self._sent.get(key, 0) + 1
                await producer.send(self.group, b"", key.encode(), partition=index % PARTITIONS)
        finally:
            await producer.stop()

    def table_keys(self) -> list[TableKey]:
        return [TableKey(self.group, "counts", number) for number in range(PARTITIONS)]

    async def stored(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for shard in (shard for key in self.table_keys() for shard in key.shards):
            for name, value in (await self.client.hgetall(shard)).items():
                found[orjson.loads(name)] = int(value)
        return found

    async def is_stored(self) -> bool:
        return await self.stored() == self._sent


def rewritten() -> float:
    """Partitions of the tests' tables that were written whole, so far."""
    samples = [sample for metric in REWRITES.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


@pytest.fixture
async def bench(
    kafka_server: Kafka, redis_server: Redis, redis: RedisClient, tmp_path: Path
) -> Bench:
    bench = Bench(kafka_server, redis_server, redis, tmp_path)
    await bench.create_topic()
    return bench


async def test_worker_when_restarted_loads_from_redis_and_counts_on(bench: Bench) -> None:
    async with bench.worker():
        await bench.send("a", "b", "a", "b", "c", "d")
        await until(bench.is_stored)
    rewrites = rewritten()
    async with bench.worker() as worker:
        assert worker.counts() == {"a": 2, "b": 2, "c": 1, "d": 1}
        await bench.send("a", "b")
        await until(bench.is_stored)
    assert rewritten() == rewrites


async def test_worker_when_redis_has_nothing_replays_the_changelog_and_fills_it(
    bench: Bench,
) -> None:
    async with bench.worker():
        await bench.send("a", "b", "a", "c")
        await until(bench.is_stored)
    await bench.client.flushall()
    async with bench.worker() as worker:
        assert worker.counts() == {"a": 2, "b": 1, "c": 1}
        await until(bench.is_stored)


async def test_worker_when_redis_is_frozen_at_its_start_replays_and_fills_it_later(
    bench: Bench, redis_server: Redis
) -> None:
    async with bench.worker():
        await bench.send("a", "b", "a", "c")
        await until(bench.is_stored)
    redis_server.freeze()
    try:
        async with bench.worker() as worker:
            assert worker.counts() == {"a": 2, "b": 1, "c": 1}
            await bench.send("a", "b")
            await until(lambda: worker.seen == 2)
            redis_server.thaw()
            await until(bench.is_stored)
    finally:
        redis_server.thaw()


async def test_quiet_worker_when_redis_is_flushed_rewrites_its_partitions(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "LOOK_SECONDS", 1)
    async with bench.worker():
        await bench.send("a", "b", "a", "c")
        await until(bench.is_stored)
        await bench.client.flushall()
        await until(bench.is_stored)


async def test_worker_when_redis_is_frozen_goes_on_and_catches_up(
    bench: Bench, redis_server: Redis
) -> None:
    async with bench.worker() as worker:
        await bench.send("a", "b")
        await until(bench.is_stored)
        redis_server.freeze()
        try:
            await bench.send("a", "b", "a", "c")
            # Were each record to wait for Redis, it would take longer.
            await until(lambda: worker.seen == 6, 3 * SOCKET_SECONDS)
            await asyncio.sleep(SOCKET_SECONDS + 0.5)  # A flush times out, unanswered.
        finally:
            redis_server.thaw()
        rewrites = rewritten()
        await until(bench.is_stored)
        assert rewritten() == rewrites  # What was not answered is repeated, not taken for a loss.


async def test_worker_when_another_claims_drops_the_partition_and_writes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "LOOK_SECONDS", 1)
    async with bench.worker() as worker:
        await bench.send("a", "b")
        await until(bench.is_stored)
        for key in bench.table_keys():
            await Snapshot(bench.client, key, 1000).claim()
        await until(lambda: len(worker.table) == 0)
        await bench.send("a", "b")
        await asyncio.sleep(0.5)
        assert worker.seen == 2
        assert await bench.stored() == {"a": 1, "b": 1}


async def test_worker_when_snapshot_is_beyond_the_changelog_replays(bench: Bench) -> None:
    async with bench.worker():
        await bench.send("a", "b", "a")
        await until(bench.is_stored)
    for key in bench.table_keys():
        await bench.client.hset(key.meta, "offset", 1_000_000)
        await bench.client.hset(key.shards[0], '"a"', 99)
    async with bench.worker() as worker:
        assert worker.counts() == {"a": 2, "b": 1}
        await until(bench.is_stored)


async def test_partition_is_projected_whole_after_a_takeover_and_after_a_rewrite(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "LOOK_SECONDS", 1)
    async with bench.worker():
        await bench.send("a", "b", "a")
        await until(bench.is_stored)
    async with bench.worker() as worker:
        await until(lambda: worker.projected == {b'"a"': b"2", b'"b"': b"1"})
        worker.projected.clear()
        await bench.client.flushall()
        await until(lambda: worker.projected == {b'"a"': b"2", b'"b"': b"1"})


async def test_change_that_cannot_be_sent_crashes_the_worker_and_is_not_settled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.worker() as worker:

        async def fail(*_: Any) -> None:
            raise KafkaTimeoutError

        crashes: list[BaseException] = []

        async def crash(reason: BaseException) -> None:
            crashes.append(reason)  # A real one would end this process's other tests too.

        monkeypatch.setattr(worker.table, "crash", crash)
        monkeypatch.setattr(redis_table, "write_changes", fail)
        await bench.send("a")
        await until(lambda: bool(crashes))
        assert isinstance(crashes[0], KafkaTimeoutError)
        assert worker.seen == 0
        assert await bench.stored() == {}
