"""What cannot be decoded is acknowledged at once, past a record that is still worked on."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from app.topics import Topic
from tests.support.flavours import Flavour, read_event, running, send, until


async def test_poison_behind_a_slow_record_is_not_committed(
    flavour: type[Flavour],
    application: Any,
    topic: Topic,
    producer: AIOKafkaProducer,
    admin: AIOKafkaAdminClient,
) -> None:
    released = asyncio.Event()
    begun: list[int] = []

    async def handle(number: int) -> None:
        begun.append(number)
        if number == 3:
            await released.wait()

    flavour.register(application, topic, handle)
    async with running(application):
        await send(producer, topic, *(read_event(number) for number in (1, 2)))
        await until(lambda: begun == [1, 2])
        await send(producer, topic, read_event(3), b"{no json", b"{no json")
        await until(lambda: begun == [1, 2, 3])
        while not (offsets := await admin.list_consumer_group_offsets(topic.group)):
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)  # Several commits more.
        offsets = await admin.list_consumer_group_offsets(topic.group)
        released.set()
    assert all(meta.offset <= 2 for meta in offsets.values())
