"""A consumer of aiokafka whose partitions have just changed takes its stop for its fetches'.

`python -m app lag` hung on it now and then, when the machine was busy.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.clients import create_reader, stop_consumer
from app.settings import Settings
from app.topics import Topic

Stop = Callable[[AIOKafkaConsumer], Awaitable[None]]

MOST_TURNS = 8
"""Of the event loop, between the change and the stop: one of these is the wrong moment."""


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(
            AIOKafkaConsumer.stop, id="stock", marks=pytest.mark.xfail(raises=AssertionError)
        ),
        pytest.param(stop_consumer, id="ours"),
    ],
)
async def test_consumer_stops_whenever_its_assignment_has_changed(
    stop: Stop, settings: Settings, topic: Topic, producer: AIOKafkaProducer
) -> None:
    place = TopicPartition(topic.name, 0)
    hanging = []
    for turns in range(MOST_TURNS):
        consumer = create_reader(settings)
        await consumer.start()
        consumer.assign([place])
        await consumer.seek_to_end(place)
        fetcher = consumer._fetcher
        async with asyncio.timeout(30):
            while not fetcher._in_flight:  # A long poll, which a stop is not to wait for.
                await asyncio.sleep(0.01)
        consumer.unsubscribe()
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping = asyncio.ensure_future(stop(consumer))
        await asyncio.wait([stopping], timeout=5)
        if not stopping.done():
            hanging.append(turns)
            fetcher._fetch_task.cancel()
        await stopping
    assert not hanging
