"""Counts, presence and resumes while Redis or MongoDB does not answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import orjson
import pytest
from aiohttp import ClientResponse
from redis.asyncio import Redis as RedisClient

from app.archive.indexes import ensure_indexes
from app.clients import Database
from app.ids import new_id
from app.settings import Settings, load
from dev.servers import MongoDB, Redis, Server
from tables.positions import Position
from tables.projections import number_projection, write_projections
from tests.support.realtime import Realtime, WsClient, serve
from tests.support.rest import (
    ALICE,
    Client,
    forget,
    gateway_of,
    number_all,
    page,
    problem,
    published,
    running_gateway,
    sent,
)
from tests.support.waiting import until


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with running_gateway(settings) as client:
        yield client


@pytest.fixture
async def realtime(redis: RedisClient, database: Database) -> AsyncIterator[Realtime]:
    await ensure_indexes(database)
    async with serve(load(), database, redis) as realtime:
        yield realtime


@pytest.fixture
async def channel(client: Client) -> str:
    """A channel with a member, whose newest message is known to Redis."""
    channel_id = f"c.{new_id()}"
    path = f"/api/channels/{channel_id}/members/alice"
    assert (await client.put(path, headers=ALICE)).status == 204
    newest = number_projection(channel_id, 3, Position("a", 0, 1))
    await write_projections(gateway_of(client).redis, [newest])
    return channel_id


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


async def call(client: Client, line: str, channel: str) -> ClientResponse:
    """Make a call of Alice's, such as `GET /api/channels/*/stats`."""
    method, path = line.split()
    return await client.request(method, path.replace("*", channel), headers=ALICE)


COUNTS = (
    "GET /api/users/alice/unread",
    "GET /api/channels/*/active-users",
    "GET /api/presence?userIds=alice",
)
IN_BOTH = ("GET /api/channels/*/stats", "GET /api/channels/*/reads")
IN_MONGODB = (
    "GET /api/channels/*",
    "GET /api/channels/*/members",
    "PUT /api/channels/*/members/bob",
    "GET /api/users/alice/notifications",
)


async def is_unavailable(response: ClientResponse, dependency: str) -> bool:
    named = orjson.loads(await response.read())["dependency"]
    return await problem(response) == (503, "unavailable", []) and named == dependency


async def test_counts_while_redis_is_frozen_are_refused_and_the_rest_goes_on(
    client: Client, channel: str, redis_server: Redis
) -> None:
    with frozen(redis_server):
        started = time.monotonic()
        for line in (*COUNTS, *IN_BOTH):
            assert await is_unavailable(await call(client, line, channel), "redis"), line
        # A second each, and what a busy machine adds: no call tries twice.
        assert time.monotonic() - started < 1.9 * len((*COUNTS, *IN_BOTH))
        for line in IN_MONGODB:
            assert (await call(client, line, channel)).status in (200, 204), line
        # Dropped, and nobody is told of that.
        assert (await call(client, "POST /api/channels/*/typing", channel)).status == 204

    async def is_answered() -> bool:
        lines = (*COUNTS, *IN_BOTH)
        return all([(await call(client, line, channel)).status == 200 for line in lines])

    await until(is_answered)


@pytest.mark.parametrize(
    "refusal", [{"maxmemory": 1000}, {"min-replicas-to-write": 1}], ids=["full", "no replicas"]
)
async def test_reads_while_redis_writes_nothing_are_answered(
    client: Client, channel: str, redis: RedisClient, database: Database, refusal: dict[str, int]
) -> None:
    listed = f"c.{new_id()}"
    for channel_id in (channel, listed):
        await sent(client, channel_id)
        await number_all(client, channel_id, database)
    await forget(client, channel)
    ((name, value),) = refusal.items()
    await redis.config_set(name, value)
    try:
        # From MongoDB, since the list cannot be written; what is in a list is still read there.
        for _ in range(2):
            assert await page(client, channelId=channel) == ([1], None, "miss")
            assert await page(client, channelId=listed) == ([1], None, "hit")
        for line in (*COUNTS, *IN_BOTH, *IN_MONGODB):
            assert (await call(client, line, channel)).status in (200, 204), line
        assert (await call(client, "POST /api/channels/*/typing", channel)).status == 204
    finally:
        await redis.config_set(name, 0)


async def test_read_mark_above_what_redis_came_back_with_is_kept_whole(
    client: Client, channel: str, database: Database, settings: Settings
) -> None:
    for n in range(5):
        await sent(client, channel, str(n))
    await number_all(client, channel, database)
    path = f"/api/channels/{channel}/read"
    for number in (2, 5, 999):  # Redis knows of 3.
        assert (await client.post(path, json={"number": number}, headers=ALICE)).status == 204
    records = await published(settings, channel)
    assert [r["number"] for r in records if r["type"] == "channel_read"] == [2, 5, 5]


async def test_counts_while_mongodb_is_frozen_are_answered_and_the_rest_is_refused(
    client: Client, channel: str, mongodb_server: MongoDB
) -> None:
    with frozen(mongodb_server):
        for line in COUNTS:
            assert (await call(client, line, channel)).status == 200, line
        assert (await call(client, "POST /api/channels/*/read", channel)).status == 204
        told = {"userIds": ["alice"], "kind": "note"}
        assert (await client.post("/api/notifications", json=told)).status == 202
        lines = (*IN_BOTH, *IN_MONGODB)
        started = time.monotonic()
        answers = await asyncio.gather(*(call(client, line, channel) for line in lines))
        assert 4.5 < time.monotonic() - started < 9
        for line, answer in zip(lines, answers, strict=True):
            assert await is_unavailable(answer, "mongodb"), line


async def test_resume_while_mongodb_is_frozen_comes_from_the_log_or_is_refused(
    realtime: Realtime, mongodb_server: MongoDB
) -> None:
    await realtime.append("c1", 3, stored=True)
    await realtime.append("c2", 3, stored=True)
    async with WsClient(realtime.url, "witness") as witness:
        cursor = (await witness.join("c1"))["cursor"]
    await realtime.append("c1", 2, stored=True)
    foreign = f"00000000.1.1.{cursor.rsplit('.', 1)[1]}"
    async with WsClient(realtime.url) as client:
        with frozen(mongodb_server):
            assert (await client.join("c1", cursor))["recovered"] == "log"
            assert [frame["seq"] for frame in await client.events(2)] == [4, 5]
            await client.say("join_channel", id=2, channelId="c2", since=foreign)
            refused = await client.next()
            assert (refused["code"], refused["dependency"]) == ("unavailable", "mongodb")
            assert refused["retryAfter"] > 0
        joined = await client.join("c2", foreign)
        assert joined["recovered"] == "history"
