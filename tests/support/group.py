"""A consumer group of counting workers: started, killed, and counted afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from app.clients import create_admin, create_producer
from app.ids import new_id
from app.keys import TableKey
from app.settings import Settings
from app.topics import Topic
from dev.processes import Process
from tests.support.counting_worker import (
    TABLE,
    counting_topic,
    effects_key,
    gate_key,
    writers_key,
)
from tests.support.topics import create_topics

PARTITIONS: Final = 4
CHANNELS: Final = 40
SESSION_SECONDS: Final = 3.0


def read_event(channel_id: str, number: int) -> bytes:
    """Return a small valid record of a `messages` topic."""
    return orjson.dumps(
        {
            "eventId": f"{channel_id}:{number}",
            "type": "channel_read",
            "occurredAt": "2026-01-01T00:00:00.000Z",
            "channelId": channel_id,
            "userId": "u",
            "number": number,
        }
    )


class Group:
    """A topic, its workers, what was sent and what has come of it."""

    def __init__(self, settings: Settings, redis: Redis, folder: Path) -> None:
        self.topic: Topic = counting_topic(f"counting-{new_id()[-8:]}")
        self.sent: list[str] = []
        self.workers: list[Process] = []
        self.session_seconds = SESSION_SECONDS
        """What the next workers get."""
        self.producer: AIOKafkaProducer = create_producer(settings)
        self.admin: AIOKafkaAdminClient = create_admin(settings)
        self._settings = settings
        self._redis = redis
        self._folder = folder

    async def open(self) -> None:
        """Make the topics."""
        await self.producer.start()
        await self.admin.start()
        names = (self.topic.name, self.topic.dead_letters)
        await create_topics(self.admin, [NewTopic(name, PARTITIONS, 1) for name in names])
        compacted = {"cleanup.policy": "compact"}
        await create_topics(
            self.admin,
            [NewTopic(n, PARTITIONS, 1, topic_configs=compacted) for n in self.topic.changelogs],
        )

    async def close(self) -> None:
        """Kill what still runs."""
        for worker in self.workers:
            worker.kill()
        await self.producer.stop()
        await self.admin.close()

    # Workers

    def worker(
        self, instance: str | None = None, module: str = "tests.support.counting_worker"
    ) -> Process:
        """Return a worker, not started; with an `instance` it is a static member."""
        environment = {
            "HUBBUB_HOST": "127.0.0.1",
            "KAFKA_BROKERS": ",".join(self._settings.kafka_brokers),
            "REDIS_HOST": self._settings.redis_host,
            "REDIS_PORT": str(self._settings.redis_port),
            "HUBBUB_SESSION_TIMEOUT_SECONDS": str(self.session_seconds),
            **({"HUBBUB_INSTANCE": instance} if instance else {}),
        }
        worker = Process(
            f"{self.topic.name}.{len(self.workers)}",
            ["python", "-m", module, self.topic.name, str(PARTITIONS)],
            environment=environment,
            folder=self._folder,
        )
        self.workers.append(worker)
        return worker

    async def start(self, count: int = 1) -> list[Process]:
        """Start dynamic members side by side; return them when all are ready."""
        workers = [self.worker() for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            await wait_ready(worker)
        return workers

    async def shut_gate(self) -> None:
        """Let batches wait before their first step."""
        await self._redis.set(gate_key(self.topic), "shut")

    async def open_gate(self) -> None:
        """Let them go on."""
        await self._redis.delete(gate_key(self.topic))

    # Load

    async def send(self, count: int) -> None:
        """Send records over all channels, and wait until Kafka has them."""
        start = len(self.sent)
        for index in range(start, start + count):
            channel_id, number = f"c{index % CHANNELS}", index // CHANNELS
            value = read_event(channel_id, number)
            await self.producer.send(self.topic.name, value, key=channel_id.encode())
            self.sent.append(f"{channel_id}:{number}")
        await self.producer.flush()

    @asynccontextmanager
    async def load(self, records_a_second: int = 400) -> AsyncIterator[None]:
        """Send records all the time."""
        stopping = asyncio.Event()

        async def send_on() -> None:
            while not stopping.is_set():
                await self.send(records_a_second // 10)
                await asyncio.sleep(0.1)

        sending = asyncio.create_task(send_on())
        try:
            yield
        finally:
            stopping.set()
            await sending

    # What came of it

    async def effects(self) -> dict[str, int]:
        """How often each record had its effect."""
        found = cast("dict[bytes, bytes]", await self._redis.hgetall(effects_key(self.topic)))
        return {record.decode(): int(times) for record, times in found.items()}

    async def writers(self) -> list[str]:
        """Who wrote, `<pid>:<generation>`, in order."""
        found = cast("list[bytes]", await self._redis.lrange(writers_key(self.topic), 0, -1))
        return [writer.decode() for writer in found]

    async def mark(self, text: str) -> None:
        """Put a mark among the writers."""
        await self._redis.rpush(writers_key(self.topic), text)

    async def counts(self) -> dict[str, int]:
        """The table, as Redis has it."""
        counts: dict[str, int] = {}
        for partition in range(PARTITIONS):
            key = TableKey(self.topic.group, TABLE, partition)
            for shard in key.shards:
                for name, value in (await self._redis.hgetall(shard)).items():
                    counts[orjson.loads(name)] = orjson.loads(value)["count"]
        return counts

    async def committed(self) -> int:
        """The sum of the group's committed offsets."""
        offsets = await self.admin.list_consumer_group_offsets(self.topic.group)
        return sum(meta.offset for tp, meta in offsets.items() if tp.topic == self.topic.name)

    async def members(self) -> int:
        """How many members the group has."""
        (answer,) = await self.admin.describe_consumer_groups([self.topic.group])
        return len(answer.groups[0][5])

    async def wait_effects(self, *, seconds: float = 60) -> None:
        """Wait until every record that was sent has had its effect."""

        async def is_done() -> bool:
            return len(await self.effects()) >= len(self.sent)

        await until(is_done, seconds, lambda: f"{self.topic.name}: effects missing")

    async def verify(self) -> None:
        """Check: each record once, the table equal, everything committed, nothing beyond."""
        await self.wait_effects()
        assert await self.effects() == dict.fromkeys(self.sent, 1)
        wanted: dict[str, int] = {}
        for record in self.sent:
            channel_id = record.partition(":")[0]
            wanted[channel_id] = wanted.get(channel_id, 0) + 1

        async def is_counted() -> bool:
            return await self.counts() == wanted

        async def is_committed() -> bool:
            return await self.committed() == len(self.sent)

        await until(is_counted, 60, lambda: "the table differs from what was sent")
        await until(is_committed, 60, lambda: "not everything was committed")

    async def check_commits(self) -> None:
        """Check that nothing is committed whose effect is not complete."""
        # Committed first: effects only grow.
        committed = await self.committed()
        assert committed <= len(await self.effects())


async def wait_ready(worker: Process) -> None:
    """Wait until a worker is in its group."""
    await asyncio.to_thread(worker.wait_ready, timeout_seconds=60)


@asynccontextmanager
async def counting_group(settings: Settings, redis: Redis, folder: Path) -> AsyncIterator[Group]:
    """A group of its own topic; its workers are killed at the end."""
    group = Group(settings, redis, folder)
    await group.open()
    try:
        yield group
    finally:
        await group.close()


async def until(
    condition: Callable[[], Awaitable[bool]],
    seconds: float,
    describe: Callable[[], str] = lambda: "",
) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, describe()
        await asyncio.sleep(0.05)
