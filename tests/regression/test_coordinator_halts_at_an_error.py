"""aiokafka halts its group coordination at an error until somebody asks for it; Faust never does.

The worker consumes on, its session ends, and nothing is ever committed again.
"""

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownError

from app.topics import Topic
from tests.support.flavours import Flavour, read_event, running, send, until


async def test_commits_go_on_after_the_coordinator_was_not_found_once(
    flavour: type[Flavour],
    application: Any,
    topic: Topic,
    producer: AIOKafkaProducer,
    admin: AIOKafkaAdminClient,
) -> None:
    done: list[int] = []

    async def handle(number: int) -> None:
        done.append(number)

    flavour.register(application, topic, handle)
    async with running(application):
        await send(producer, topic, read_event(0))
        await until(lambda: done == [0])
        # A commit under way would take the failure upon itself.
        while await committed(admin, topic) != [1]:
            await asyncio.sleep(0.1)
        fail_one_lookup(application)
        await asyncio.sleep(5)  # Longer than the session.
        await send(producer, topic, read_event(1))
        await until(lambda: 1 in done, 20)
        ends_at = time.monotonic() + 10
        while (found := await committed(admin, topic)) != [2] and time.monotonic() < ends_at:
            await asyncio.sleep(0.1)
        assert found == [2]


async def committed(admin: AIOKafkaAdminClient, topic: Topic) -> list[int]:
    offsets = await admin.list_consumer_group_offsets(topic.group)
    return [meta.offset for meta in offsets.values()]


def fail_one_lookup(application: Any) -> None:
    """Let the coordinator be gone, and the next question for it be answered with an error."""
    thread: Any = application.consumer._thread
    consumer = thread._consumer
    lookup = consumer._client.coordinator_lookup

    async def fail_once(*_: Any) -> Any:
        consumer._client.coordinator_lookup = lookup
        raise UnknownError

    consumer._client.coordinator_lookup = fail_once
    thread.thread_loop.call_soon_threadsafe(consumer._coordinator.coordinator_dead)
