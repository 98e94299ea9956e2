"""What `joined` says of who is there, on a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from app.clients import Database
from app.keys import active_names, active_users, channel_stream
from app.settings import load
from dev.servers import Redis as RedisServer
from tests.support.realtime import Realtime, SseClient, WsClient, serve
from web import active_users as module
from web.waiting import Counts


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


async def come_meanwhile(realtime: Realtime, user: str) -> None:
    """A user comes into the channel `c`, and its followers are told."""
    (stream,) = [stream for stream in realtime.hub.streams if stream.key.id == "c"]
    told = stream.unlogged
    await put_users(realtime.redis, user)
    frame = b'{"type":"user_joined","channelId":"c","data":{"userId":"%b"}}' % user.encode()
    await realtime.redis.publish(channel_stream("c").live, frame)
    async with asyncio.timeout(30):
        while stream.unlogged == told:
            await asyncio.sleep(0)


async def test_list_is_read_again_when_somebody_comes_meanwhile(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = realtime.gateway.active_users
    script, coming = users._script, iter(["ann", "bob"])

    async def answer_late(**arguments: Any) -> Any:
        answer = await script(**arguments)
        for user in coming:
            await come_meanwhile(realtime, user)
            break
        return answer

    monkeypatch.setattr(users, "_script", answer_late)
    async with WsClient(realtime.url) as client:
        joined = await client.join("c")
    assert [item["userId"] for item in joined["activeUsers"]] == ["ann", "bob"]


async def test_list_that_is_remembered_is_read_when_somebody_comes_while_others_are_read(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = realtime.gateway.active_users
    async with WsClient(realtime.url) as first:
        await first.join("c")
        script, coming = users._script, iter(["ann"])

        async def answer_late(**arguments: Any) -> Any:
            for user in coming:
                await come_meanwhile(realtime, user)
            return await script(**arguments)

        monkeypatch.setattr(users, "_script", answer_late)
        async with WsClient(realtime.url, "u2") as client:
            await client.say("resume", channels={"c": "-", "d": "-"})
            joined = await client.until("joined")
    assert (joined["channelId"], joined["activeCount"]) == ("c", 1)


async def test_event_stream_that_begins_knows_who_comes_while_counts_are_read(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = realtime.gateway.waiting
    count = waiting.of_user

    async def count_late(user_id: str) -> Counts:
        await come_meanwhile(realtime, "ann")
        return await count(user_id)

    monkeypatch.setattr(waiting, "of_user", count_late)
    async with SseClient(realtime.url, "c") as source:
        assert (await source.until("joined"))["activeCount"] == 1


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
        async with asyncio.timeout(30):
            while stream.joined != joined:
                await asyncio.sleep(0.01)
