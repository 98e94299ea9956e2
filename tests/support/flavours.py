"""Faust as it is installed and ours, behind the same few calls."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import faust
import orjson
from aiokafka import AIOKafkaProducer
from faust.types import TP, StreamT

from app.records import ChannelRead
from app.settings import Settings
from app.streaming.application import Application
from app.streaming.work import Work
from app.topics import Topic

Handle = Callable[[int], Awaitable[None]]


class Flavour(ABC):
    """What a regression test does with either."""

    @staticmethod
    @abstractmethod
    def create(topic: Topic, settings: Settings) -> faust.App:
        """Return an app that reads `topic`, not started."""

    @staticmethod
    @abstractmethod
    def register(app: Any, topic: Topic, handle: Handle) -> None:
        """Call `handle` with each record's number."""

    @staticmethod
    @abstractmethod
    def committable(consumer: Any, tp: TP) -> int | None:
        """What the consumer would commit now."""


class Stock(Flavour):
    """faust-streaming, with settings that favour it."""

    @staticmethod
    def create(topic: Topic, settings: Settings) -> faust.App:
        return faust.App(
            topic.group,
            broker=[f"kafka://{broker}" for broker in settings.kafka_brokers],
            env={},
            broker_session_timeout=settings.session_timeout_seconds,
            broker_heartbeat_interval=settings.session_timeout_seconds / 5,
            broker_commit_interval=0.5,
            table_standby_replicas=0,
            topic_partitions=1,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
            web_enabled=False,
            datadir="/nonexistent",
            BootStrategy=_WithoutWeb,
        )

    @staticmethod
    def register(app: Any, topic: Topic, handle: Handle) -> None:
        async def agent(stream: StreamT[ChannelRead]) -> None:
            async for event in stream:
                await handle(event.number)

        app.agent(app.topic(topic.name, value_type=ChannelRead), name="agent")(agent)

    @staticmethod
    def committable(consumer: Any, tp: TP) -> int | None:
        offsets: dict[TP, int] = consumer._filter_committable_offsets([tp])
        return offsets.get(tp)


class Ours(Flavour):
    """`app.streaming`."""

    @staticmethod
    def create(topic: Topic, settings: Settings) -> faust.App:
        return Application(topic, settings, partitions=1, incarnation="aaaaaaaa", table=faust.Table)

    @staticmethod
    def register(app: Any, topic: Topic, handle: Handle) -> None:
        class Rule:
            async def handle(self, work: Work) -> None:
                for item in work.received:
                    assert isinstance(item.event, ChannelRead)
                    await handle(item.event.number)

            async def settle(self, barriers: Sequence[None]) -> None:
                pass

            def forget(self, partition: int) -> None:
                pass

        async def agent(stream: StreamT[Any]) -> None:
            await app.lanes.run(stream, Rule())

        app.agent(app.records, name="agent")(agent)

    @staticmethod
    def committable(consumer: Any, tp: TP) -> int | None:
        offsets: dict[TP, int] = consumer.uncommitted()
        return offsets.get(tp)


class _WithoutWeb(faust.app.BootStrategy):
    enable_web = False


def read_event(number: int) -> bytes:
    """Return a valid record of channel `c`."""
    return orjson.dumps(
        {
            "eventId": str(number),
            "type": "channel_read",
            "occurredAt": "2026-01-01T00:00:00.000Z",
            "channelId": "c",
            "userId": "u",
            "number": number,
        }
    )


async def send(producer: AIOKafkaProducer, topic: Topic, *values: bytes) -> None:
    """Send records of channel `c`."""
    for value in values:
        await producer.send_and_wait(topic.name, value, key=b"c")


@asynccontextmanager
async def running(app: faust.App) -> AsyncIterator[None]:
    """Run an app; it is stopped in the end, if need be within a few seconds."""
    await app.start()
    try:
        yield
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(8):
                await app.stop()


async def until(condition: Callable[[], bool], seconds: float = 45) -> None:
    """Wait until `condition` holds.

    Raises:
        AssertionError: it does not in time.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)
    assert condition()
