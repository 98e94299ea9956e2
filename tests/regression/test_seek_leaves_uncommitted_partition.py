"""The seek at the end of a rebalance leaves a partition without a commit where it is.

What was fetched and dropped during the rebalance is then never read (aiokafka's
`seek_to_committed` passes over such partitions).
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from faust.types import TP

from app.topics import Topic
from tests.support.flavours import Flavour, read_event, running, send, until


async def test_seek_without_a_commit_goes_back_to_the_first_record(
    flavour: type[Flavour], application: Any, topic: Topic, producer: AIOKafkaProducer
) -> None:
    begun: list[int] = []
    released = asyncio.Event()

    async def handle(number: int) -> None:
        begun.append(number)
        await released.wait()

    flavour.register(application, topic, handle)
    await send(producer, topic, *(read_event(number) for number in range(5)))
    async with running(application):
        await until(lambda: begun == [0])
        consumer: Any = application.consumer
        consumer.stop_flow()
        consumer.pause_partitions(consumer.assignment())
        await asyncio.sleep(1.5)  # A fetch that was on its way has ended.
        await consumer.perform_seek()
        position = await consumer.position(TP(topic.name, 0))
        released.set()
    assert position == 0
