"""aiokafka sends no heartbeat while a worker deals with its assignment.

A table that takes longer than a session to load costs its partitions, and is loaded again.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer

from app.topics import Topic
from tests.support.flavours import Flavour, read_event, running, send, until


async def test_member_that_loads_longer_than_its_session_keeps_its_place(
    flavour: type[Flavour],
    application: Any,
    topic: Topic,
    producer: AIOKafkaProducer,
) -> None:
    done: list[int] = []

    async def handle(number: int) -> None:
        done.append(number)

    flavour.register(application, topic, handle)
    assigned: list[int] = []
    deal_with = application.tables.on_rebalance

    async def deal_slowly(*arguments: Any, **options: Any) -> None:
        assigned.append(application.consumer_generation_id)
        await asyncio.sleep(4 if len(assigned) == 1 else 0)  # Longer than the session.
        await deal_with(*arguments, **options)

    application.tables.on_rebalance = deal_slowly
    await send(producer, topic, read_event(0))
    async with running(application):
        await until(lambda: done == [0])
        await asyncio.sleep(2)  # A heartbeat that is refused would have had its consequence.
        assert len(assigned) == 1
