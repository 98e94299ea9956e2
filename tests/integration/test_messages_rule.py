"""The messages agent's rule, its batches cut off and delivered again; on real MongoDB and Redis."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis as RedisClient

from app.archive.indexes import ensure_indexes
from app.clients import Database
from app.topics import MESSAGES
from tables.readers import read_channels
from tests.support.world import World


@pytest.fixture
async def world(database: Database, redis: RedisClient) -> AsyncIterator[World]:
    await ensure_indexes(database)
    world = World(database, redis)
    await world.begin()
    await world.work(MESSAGES, 20)
    yield world
    await world.end()


async def post(world: World, user: str, channel: str) -> str:
    document = await world.post(user, channel, "hi", [])
    world.publish_change(document)
    return str(document["_id"])


async def test_stranger_can_send_in_a_private_channel_and_is_made_no_member(world: World) -> None:
    stranger = world.users[2]
    for channel in world.channels:
        await post(world, stranger, channel)
    await world.work(MESSAGES, 20, is_cut_off=True)
    await world.work(MESSAGES, 20)
    await world.work(MESSAGES, 0, again=2)
    assert [each["content"] for each in await world.cached(world.private)] == ["hi"]
    assert [each.channel_id for each in await read_channels(world.redis, stranger)] == [world.open]
    members = [await world.members.page(channel, 10) for channel in world.channels]
    assert [[each["userId"] for each in page] for page in members] == [[stranger], []]


async def test_edit_delivered_again_much_later_is_found_by_its_time(world: World) -> None:
    """Who resumes looks for what was changed in the last minute, and this may be appended now."""
    message_id = await post(world, world.users[0], world.open)
    await world.work(MESSAGES, 20)
    world.publish_change(await world.archive.edit(message_id, {"content": "edited"}))
    await world.work(MESSAGES, 20, is_cut_off=True)
    before = {"$set": {"changedAt": datetime.now(UTC) - timedelta(seconds=300)}}
    await world.documents.update_one({"_id": message_id}, before)
    await world.work(MESSAGES, 20)
    document = await world.documents.find_one({"_id": message_id})
    assert document is not None
    assert document["changedAt"] > datetime.now(UTC) - timedelta(seconds=60)
