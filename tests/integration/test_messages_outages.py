"""The messages agent while MongoDB or Redis does not answer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from redis.asyncio import Redis as RedisClient

from app.clients import Database
from app.settings import Settings
from app.topics import partition_of
from dev.servers import MongoDB, Redis, Server
from tests.support.messages_worker import PARTITIONS, Bench, bench, running_worker
from tests.support.waiting import until

PLACE = partition_of(b"c", PARTITIONS)


@pytest.fixture
async def at(settings: Settings, database: Database, redis: RedisClient) -> AsyncIterator[Bench]:
    async with bench(settings, database, redis) as made:
        yield made


@pytest.fixture(params=["mongodb", "redis"])
def server(request: pytest.FixtureRequest, mongodb_server: MongoDB, redis_server: Redis) -> Server:
    return mongodb_server if request.param == "mongodb" else redis_server


async def committed(at: Bench) -> int:
    offsets = await at.admin.list_consumer_group_offsets(at.topic.group)
    place = TopicPartition(at.topic.name, PLACE)
    return int(offsets[place].offset) if place in offsets else 0


async def test_messages_while_a_server_is_frozen_wait_and_come_once_in_order(
    at: Bench, server: Server
) -> None:
    contents = [f"{n}" for n in range(5)]
    documents = [await at.insert("c", content) for content in contents]
    async with running_worker(at, reconciles=False) as app:
        await at.publish("message_created", documents[0])

        async def is_first_committed() -> bool:
            return await committed(at) == 1

        await until(is_first_committed)
        server.freeze()
        try:
            for document in documents[1:]:
                await at.publish("message_created", document)
            # Longer than any request to the server is waited for.
            async with asyncio.timeout(45):
                while not app.lanes.paused:
                    await asyncio.sleep(0.05)
            assert set(app.lanes.paused) == {f"{at.topic.name}:{PLACE}"}
            assert await committed(at) == 1
        finally:
            server.thaw()

        async def are_all_committed() -> bool:
            return await committed(at) == len(documents)

        await until(are_all_committed)
        assert not app.lanes.paused
    assert await at.frames("c") == [
        ("message", number, content) for number, content in enumerate(contents, start=1)
    ]
    assert await at.records(at.topic.dead_letters) == []
