"""The streaming core on a real Kafka."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import faust
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import StreamT
from redis.exceptions import ConnectionError as RedisConnectionError

from app.clients import create_admin
from app.ids import new_id
from app.records import TYPES, ChannelRead
from app.settings import Settings
from app.streaming.application import Application
from app.streaming.transport import Consumer
from app.streaming.work import Work
from app.topics import Topic, partition_of
from tests.support.topics import create_topics
from tests.support.waiting import until

PARTITIONS = 2


@dataclass
class Recorder:
    """A rule that remembers the numbers it was given, by channel, and can be told to fail."""

    seen: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    before: Callable[[Work], Awaitable[None]] | None = None

    async def handle(self, work: Work) -> str | None:
        if self.before is not None:
            await self.before(work)
        for item in work.received:
            assert isinstance(item.event, ChannelRead)
            self.seen[item.event.channel_id].append(item.event.number)
        return None

    async def settle(self, barriers: Sequence[str]) -> None:
        """Nothing is written to a table."""

    def forget(self, partition: int) -> None:
        """Nothing is remembered."""


@pytest.fixture
async def topic(settings: Settings) -> AsyncIterator[Topic]:
    """A topic of the test's own, in the form of `messages`."""
    name = f"messages-{new_id()[-8:]}"
    topic = Topic(name, "channel_id", f"{name}-group")
    admin = create_admin(settings)
    await admin.start()
    await create_topics(
        admin, [NewTopic(each, PARTITIONS, 1) for each in (topic.name, topic.dead_letters)]
    )
    TYPES[name] = TYPES["messages"]
    yield topic
    del TYPES[name]
    await admin.close()


def read_event(channel_id: str, number: int) -> bytes:
    return orjson.dumps(
        {
            "eventId": new_id(),
            "type": "channel_read",
            "occurredAt": "2026-01-01T00:00:00.000Z",
            "channelId": channel_id,
            "userId": "u",
            "number": number,
        }
    )


async def send(producer: AIOKafkaProducer, topic: Topic, channel_id: str, number: int) -> None:
    await producer.send_and_wait(
        topic.name, read_event(channel_id, number), key=channel_id.encode()
    )


@asynccontextmanager
async def running(topic: Topic, settings: Settings, rule: Recorder) -> AsyncIterator[Application]:
    app = Application(
        topic, settings, partitions=PARTITIONS, incarnation="aaaaaaaa", table=faust.Table
    )

    @app.agent(app.records, name="recorder")
    async def recorder(stream: StreamT[object]) -> None:
        await app.lanes.run(stream, rule)

    await app.start()
    try:
        yield app
    finally:
        await app.stop()


async def committed(settings: Settings, topic: Topic) -> dict[int, int]:
    admin: AIOKafkaAdminClient = create_admin(settings)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(topic.group)
    finally:
        await admin.close()
    return {tp.partition: meta.offset for tp, meta in offsets.items() if tp.topic == topic.name}


async def dead_letters(topic: Topic, settings: Settings, count: int) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(
        topic.dead_letters,
        bootstrap_servers=list(settings.kafka_brokers),
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        return [await asyncio.wait_for(consumer.getone(), 45) for _ in range(count)]
    finally:
        await consumer.stop()


async def test_records_are_handled_in_order_and_committed(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> None:
    rule = Recorder()
    async with running(topic, settings, rule):
        for number in range(200):
            await producer.send(topic.name, read_event("c1", number), key=b"c1")
            await producer.send(topic.name, read_event("c2", number), key=b"c2")
        await producer.flush()
        await until(lambda: sum(map(len, rule.seen.values())) == 400)
    assert rule.seen == {"c1": list(range(200)), "c2": list(range(200))}
    assert sum((await committed(settings, topic)).values()) == 400


async def test_malformed_record_lands_in_dead_letters_and_stops_nothing(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> None:
    rule = Recorder()
    partition = partition_of(b"c1", PARTITIONS)
    async with running(topic, settings, rule):
        await send(producer, topic, "c1", 1)
        await producer.send_and_wait(topic.name, b"{not json", key=b"c1")
        await producer.send_and_wait(
            topic.name, read_event("c1", 2), key=b"other", partition=partition
        )
        await send(producer, topic, "c1", 3)
        await until(lambda: rule.seen["c1"] == [1, 3])
    letters = await dead_letters(topic, settings, 2)
    assert letters[0].value == b"{not json"
    assert [dict(letter.headers)["reason"] for letter in letters] == [b"bad_json", b"wrong_key"]
    assert [dict(letter.headers)["source-offset"] for letter in letters] == [b"1", b"2"]


async def test_malformed_record_of_the_greatest_length_stops_nothing(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> None:
    rule = Recorder()
    async with running(topic, settings, rule):
        await producer.send_and_wait(topic.name, b"x" * 1_048_480, key=b"c1")
        await send(producer, topic, "c1", 1)
        await until(lambda: rule.seen["c1"] == [1])
    (letter,) = await dead_letters(topic, settings, 1)
    assert letter.value is None
    assert dict(letter.headers)["value-omitted"] == b"too-long"
    assert dict(letter.headers)["source-offset"] == b"0"


async def test_transient_failure_is_repeated_and_nothing_is_acknowledged_meanwhile(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> None:
    is_down = True
    tried = 0

    async def fail(_: Work) -> None:
        nonlocal tried
        tried += 1
        if is_down:
            raise RedisConnectionError("down")

    rule = Recorder(before=fail)
    async with running(topic, settings, rule) as app:
        await send(producer, topic, "c1", 1)
        await until(lambda: tried > 4)
        assert app.lanes.paused == {
            f"{topic.name}:{partition_of(b'c1', PARTITIONS)}": "ConnectionError"
        }
        await app.consumer.commit()
        assert await committed(settings, topic) == {}
        is_down = False
        await until(lambda: rule.seen["c1"] == [1])
        await until(lambda: not app.lanes.paused)


async def test_stop_during_an_outage_acknowledges_nothing_and_is_in_time(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.streaming.application.STOP_SECONDS", 0.5)
    is_down = True

    async def fail(_: Work) -> None:
        if is_down:
            raise RedisConnectionError("down")

    rule = Recorder(before=fail)
    async with running(topic, settings, rule) as app:
        await send(producer, topic, "c1", 1)
        await until(lambda: bool(app.lanes.paused))
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 8
    assert await committed(settings, topic) == {}
    is_down = False
    async with running(topic, settings, rule):
        await until(lambda: rule.seen["c1"] == [1])


async def test_failing_record_alone_is_dead_lettered(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> None:
    async def fail(work: Work) -> None:
        if any(getattr(item.event, "number", 0) == 7 for item in work.received):
            raise LookupError("no seven")

    rule = Recorder(before=fail)
    for number in range(10):
        await producer.send(topic.name, read_event("c1", number), key=b"c1")
    await producer.flush()
    async with running(topic, settings, rule):
        await until(lambda: len(rule.seen["c1"]) == 9)
    assert rule.seen["c1"] == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert sum((await committed(settings, topic)).values()) == 10


async def test_full_lane_pauses_its_partition_and_loses_nothing(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.streaming.transport.LONGEST_BATCH", 5)
    monkeypatch.setattr("app.streaming.lanes.FULL", 20)
    released = asyncio.Event()

    async def wait(_: Work) -> None:
        await released.wait()

    rule = Recorder(before=wait)
    async with running(topic, settings, rule) as app:
        for number in range(200):
            await producer.send(topic.name, read_event("c1", number), key=b"c1")
        await producer.flush()
        consumer = app.consumer
        assert isinstance(consumer, Consumer)
        await until(lambda: bool(consumer._buffered_partitions))
        released.set()
        await until(lambda: len(rule.seen["c1"]) == 200)
        for number in range(200, 210):
            await send(producer, topic, "c1", number)
        await until(lambda: len(rule.seen["c1"]) == 210)
    assert rule.seen["c1"] == list(range(210))
    assert sum((await committed(settings, topic)).values()) == 210


async def test_what_comes_while_a_batch_is_worked_on_is_worked_on_as_one(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> None:
    released = asyncio.Event()
    works: list[int] = []

    async def wait(work: Work) -> None:
        works.append(len(work.received))
        await released.wait()

    rule = Recorder(before=wait)
    async with running(topic, settings, rule) as app:
        await send(producer, topic, "c1", 0)
        await until(lambda: works == [1])
        (lane,) = app.lanes._lanes.values()
        for number in range(1, 9):
            await send(producer, topic, "c1", number)
            # Each is fetched by itself.
            await until(lambda number=number: lane._waiting_records == number)
        assert len(lane._waiting) > 1
        released.set()
        await until(lambda: len(rule.seen["c1"]) == 9)
    assert works == [1, 8]
    assert rule.seen["c1"] == list(range(9))
    assert sum((await committed(settings, topic)).values()) == 9


async def test_partition_that_waits_holds_up_no_other(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> None:
    waiting = partition_of(b"c1", PARTITIONS)
    other = next(c for c in ("c2", "c3", "c4") if partition_of(c.encode(), PARTITIONS) != waiting)
    released = asyncio.Event()

    async def wait(work: Work) -> None:
        if work.source.partition == waiting:
            await released.wait()

    rule = Recorder(before=wait)
    async with running(topic, settings, rule):
        for number in range(50):
            for channel_id in ("c1", other):
                value = read_event(channel_id, number)
                await producer.send(topic.name, value, key=channel_id.encode())
        await producer.flush()
        await until(lambda: len(rule.seen[other]) == 50)
        assert rule.seen["c1"] == []
        released.set()
        await until(lambda: len(rule.seen["c1"]) == 50)


async def test_settlement_that_fails_ends_the_worker_although_no_batch_follows(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> None:
    class Failing(Recorder):
        async def settle(self, barriers: Sequence[str]) -> None:
            raise LookupError("no barrier")

    async with running(topic, settings, Failing()) as app:
        await send(producer, topic, "c1", 1)
        await until(lambda: app.crash_reason is not None)
    assert isinstance(app.crash_reason, LookupError)
    assert await committed(settings, topic) == {}


async def test_topic_made_anew_ends_the_worker_with_a_line(
    topic: Topic, settings: Settings, producer: AIOKafkaProducer
) -> None:
    offsets = {TopicPartition(topic.name, 0): OffsetAndMetadata(1000, "")}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(settings.kafka_brokers),
        group_id=topic.group,
        # Its own commit at the stop would write over the one here.
        enable_auto_commit=False,
    )
    await consumer.start()
    consumer.assign(list(offsets))
    await consumer.commit(offsets)
    await consumer.stop()
    async with running(topic, settings, Recorder()) as app:
        await until(lambda: app.crash_reason is not None)
    assert "topics adopt" in str(app.crash_reason)
