"""What `joined` says of who is there, on a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from app.clients import Database
from app.keys import active_names, active_users, channel_stream
from app.settings import load
from dev.servers import Redis as RedisServer
from tests.support.realtime import Realtime, SseClient, WsClient, serve
from web import active_users as module


@pytest.fixture
async def realtime(redis: Redis, database: Database) -> AsyncIterator[Realtime]:
    async with serve(load(), database, redis) as realtime:
        yield realtime


async def put_users(redis: Redis, *users: str) -> None:
    score = time.time() * 1000 + 60_000
    await redis.zadd(active_users("c"), dict.fromkeys(users, score))
    await redis.hset(active_names("c"), mapping={user: user.title() for user in users})


async def reads(redis: Redis) -> int:
    """How often any list has been counted."""
    statistics = await redis.info("commandstats")
    return int(statistics.get("cmdstat_zcount", {"calls": 0})["calls"])


async def test_joined_carries_the_list_on_both_transports(realtime: Realtime, redis: Redis) -> None:
    await put_users(redis, "ann", "bob")
    expected = [{"userId": "ann", "userName": "Ann"}, {"userId": "bob", "userName": "Bob"}]
    async with WsClient(realtime.url) as client, SseClient(realtime.url, "c,d") as source:
        joined = await client.join("c")
        assert (joined["activeUsers"], joined["activeCount"]) == (expected, 2)
        frames = [await source.until("joined") for _ in range(2)]
        assert [(f["activeUsers"], f["activeCount"]) for f in frames] == [(expected, 2), ([], 0)]


async def test_joined_names_a_hundred_and_counts_all(realtime: Realtime, redis: Redis) -> None:
    await put_users(redis, *(f"u{n}" for n in range(120)))
    async with WsClient(realtime.url) as client:
        joined = await client.join("c")
    assert (len(joined["activeUsers"]), joined["activeCount"]) == (100, 120)


async def test_crowd_that_joins_reads_the_list_once(realtime: Realtime, redis: Redis) -> None:
    async with WsClient(realtime.url) as first:
        await first.join("c")
        await redis.config_resetstat()
        began = time.monotonic()
        for _ in range(30):
            async with WsClient(realtime.url) as client:
                await client.join("c")
        # Twice a second or so it is read whatever happens.
        assert await reads(redis) <= 1 + (time.monotonic() - began)


async def test_list_is_read_again_once_a_change_was_told(realtime: Realtime, redis: Redis) -> None:
    async with WsClient(realtime.url) as first, WsClient(realtime.url, "u2") as second:
        assert (await first.join("c"))["activeCount"] == 0
        await put_users(redis, "ann")
        frame = b'{"type":"user_joined","channelId":"c","data":{"userId":"ann","userName":"Ann"}}'
        await redis.publish(channel_stream("c").live, frame)
        await first.until("user_joined")
        assert (await second.join("c"))["activeCount"] == 1


async def test_join_is_refused_when_the_list_cannot_be_read(
    realtime: Realtime, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    async with WsClient(realtime.url) as client:
        await client.join("c")
        stream = next(s for s in realtime.hub.streams if s.key.id == "c")
        joined = stream.joined
        redis_server.freeze()
        try:
            answer = await client.join("c")
        finally:
            redis_server.thaw()
        assert (answer["type"], answer["code"]) == ("error", "unavailable")
        await asyncio.sleep(0)
        assert stream.joined == joined
