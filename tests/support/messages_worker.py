"""A messages worker in the test's own process, on a topic of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis as RedisClient

from agents.burial import Burial
from agents.deps import Deps
from agents.messages import register
from app.archive.channels import Channels
from app.archive.indexes import ensure_indexes
from app.archive.marks import Marks
from app.archive.members import Members
from app.archive.messages import Draft, Messages
from app.archive.notifications import Notifications
from app.archive.pending import PendingMessages
from app.clients import Database, create_admin, create_producer
from app.ids import new_id
from app.keys import StreamKey, channel_stream
from app.offsets import Offsets
from app.outgoing import encode_change
from app.reconciler import Reconciler
from app.records import TYPES
from app.settings import Settings
from app.stream_log.log import StreamLog
from app.streaming.application import Application
from app.topics import MESSAGES, Topic
from tables.redis_table import RedisTable
from tests.support.topics import create_topics

PARTITIONS = 2
INCARNATION = "aaaaaaaa"


@dataclass
class Bench:
    """A topic of the test's own, and what stands around it."""

    settings: Settings
    database: Database
    redis: RedisClient
    topic: Topic
    producer: AIOKafkaProducer
    admin: AIOKafkaAdminClient

    @property
    def documents(self) -> Any:
        return self.database["messages"]

    async def insert(self, channel_id: str, content: str = "hi") -> dict[str, Any]:
        """Insert a message as a gateway does, and publish nothing."""
        draft = Draft(channel_id, "u1", "Ann", content)
        document, _ = await Messages(self.database).insert(draft)
        return document

    async def publish(self, kind: str, document: dict[str, Any]) -> None:
        """Publish a change as a gateway does."""
        key, value = document["channelId"].encode(), encode_change(kind, document)
        await self.producer.send_and_wait(self.topic.name, value, key=key)

    async def records(self, topic: str = "") -> list[Any]:
        """Every record of the topic (or another) that is there now."""
        consumer = AIOKafkaConsumer(bootstrap_servers=list(self.settings.kafka_brokers))
        await consumer.start()
        try:
            places = [TopicPartition(topic or self.topic.name, n) for n in range(PARTITIONS)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            found: list[Any] = []
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        finally:
            await consumer.stop()
        return found

    async def kinds(self) -> list[str]:
        """The types of the topic's records."""
        return [orjson.loads(record.value)["type"] for record in await self.records()]

    async def frames(self, channel_id: str) -> list[tuple[str, int, str]]:
        """What the channel's log holds: type, number and content of each event."""
        entries: Any = await self.redis.xrange(channel_stream(channel_id).log)
        found = [orjson.loads(fields[b"f"]) for _, fields in entries]
        return [(f["type"], f["data"]["number"], f["data"].get("content", "")) for f in found]


@asynccontextmanager
async def bench(settings: Settings, database: Database, redis: RedisClient) -> AsyncIterator[Bench]:
    """Make a topic in the form of `messages`, and the indexes."""
    name = f"messages-{new_id()[-8:]}"
    topic = Topic(name, "channel_id", f"{name}-group", MESSAGES.tables)
    await ensure_indexes(database)
    admin, producer = create_admin(settings), create_producer(settings)
    await admin.start()
    await producer.start()
    names = (topic.name, topic.dead_letters, *topic.changelogs)
    await create_topics(admin, [NewTopic(each, PARTITIONS, 1) for each in names])
    TYPES[name] = TYPES["messages"]
    try:
        yield Bench(settings, database, redis, topic, producer, admin)
    finally:
        del TYPES[name]
        await producer.stop()
        await admin.close()


@asynccontextmanager
async def running_worker(bench: Bench, *, reconciles: bool = True) -> AsyncIterator[Application]:
    """Run the messages agent, and its reconciler with short times."""
    archive, pending = Messages(bench.database), PendingMessages(bench.database)

    async def highest_number(stream: StreamKey) -> int:
        return await archive.highest_number(stream.id)

    log = StreamLog(bench.redis, highest_number)
    app = Application(
        bench.topic,
        bench.settings,
        partitions=PARTITIONS,
        incarnation=INCARNATION,
        table=RedisTable,
        bury=Burial(pending, bench.topic, PARTITIONS).bury,
    )
    channels, members = Channels(bench.database), Members(bench.database)
    told = Notifications(bench.database)
    register(app, Deps(Marks(bench.database), log, bench.redis, "worker", channels, members, told))
    offsets = Offsets(bench.settings)
    reconciler = Reconciler(app, pending, offsets, every_seconds=0.1, after_seconds=0.3)
    tasks = [asyncio.create_task(reconciler.run())] if reconciles else []
    await app.start()
    try:
        yield app
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await app.stop()
        await offsets.close()
        await log.close()
