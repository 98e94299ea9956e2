"""The REST calls of presence and of the cache, on real servers; what the agents write is written
by hand."""

import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from app.archive.channels import Channels, NewChannel
from app.archive.members import MEMBER, Members
from app.clients import Database
from app.keys import active_names, active_users, channel_stream
from app.settings import Settings
from app.topics import MESSAGES, USER_ACTIVITY
from tests.support.rest import (
    ALICE,
    Client,
    number_all,
    page,
    problem,
    published,
    running_gateway,
    sent,
)
from web.answers import ActiveUserPage, ChannelStatistics, UserPresences


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with running_gateway(settings) as client:
        yield client


async def put_users(redis: Redis, channel: str, *users: str, until_ms: float = 0) -> None:
    score = until_ms or time.time() * 1000 + 60_000
    await redis.zadd(active_users(channel), dict.fromkeys(users, score))
    await redis.hset(active_names(channel), mapping={user: user.title() for user in users})


async def listed(client: Client, channel: str, **query: str | int) -> dict[str, Any]:
    response = await client.get(f"/api/channels/{channel}/active-users", params=query)
    body = await response.read()
    assert response.status == 200, body
    ActiveUserPage.model_validate_json(body)
    found: dict[str, Any] = orjson.loads(body)
    return found


async def test_active_users_are_paged_by_id(client: Client, redis: Redis) -> None:
    await put_users(redis, "c", "cleo", "ann", "bob")
    first = await listed(client, "c", limit=2)
    assert first == {
        "items": [{"userId": "ann", "userName": "Ann"}, {"userId": "bob", "userName": "Bob"}],
        "count": 3,
        "next": "bob",
    }
    second = await listed(client, "c", limit=2, after="bob")
    assert second == {
        "items": [{"userId": "cleo", "userName": "Cleo"}],
        "count": 3,
        "next": None,
    }


async def test_user_who_was_not_renewed_is_not_listed(client: Client, redis: Redis) -> None:
    await put_users(redis, "c", "ann")
    await put_users(redis, "c", "ghost", until_ms=time.time() * 1000 - 1)
    assert [item["userId"] for item in (await listed(client, "c"))["items"]] == ["ann"]


async def test_empty_channel_has_nobody(client: Client) -> None:
    assert await listed(client, "empty") == {"items": [], "count": 0, "next": None}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/channels/a%20b/active-users", "id"),
        ("/api/channels/c/active-users?limit=101", "limit"),
        ("/api/channels/c/active-users?after=a%20b", "after"),
        ("/api/channels/a%20b/stats", "id"),
        ("/api/presence", "userIds"),
        ("/api/presence?userIds=", "userIds.0"),
        ("/api/presence?userIds=ann,a%20b", "userIds.1"),
        ("/api/presence?userIds=" + ",".join(map(str, range(101))), "userIds"),
    ],
)
async def test_wrong_input_is_named(client: Client, path: str, field: str) -> None:
    assert await problem(await client.get(path)) == (422, "invalid", [field])


async def test_typing_needs_a_user(client: Client) -> None:
    response = await client.post("/api/channels/c/typing")
    assert (await problem(response))[:2] == (401, "not_authenticated")


async def test_presence_of_nobody_is_offline(client: Client) -> None:
    response = await client.get("/api/presence?userIds=ann")
    body = await response.read()
    UserPresences.model_validate_json(body)
    assert orjson.loads(body) == {"items": [{"userId": "ann", "online": False}]}


async def test_statistics_name_what_is_in_mongodb_and_in_redis(
    client: Client, redis: Redis, database: Database
) -> None:
    await put_users(redis, "stats", "ann", "bob")
    await Members(database).add("stats", dict.fromkeys(("ann", "bob", "alice"), MEMBER))
    for _ in range(3):
        last = await sent(client, "stats")
    await number_all(client, "stats", database)
    response = await client.get("/api/channels/stats/stats")
    body = await response.read()
    ChannelStatistics.model_validate_json(body)
    found = orjson.loads(body)
    assert found.pop("lastMessage") == {**last, "number": 3}
    assert found == {
        "channelId": "stats",
        "messages": 3,
        "members": 3,
        "activeUsers": 2,
        "connections": 0,
        "cached": 3,
    }


async def test_invalidated_channel_is_read_from_mongodb_and_its_list_is_wanted(
    client: Client, redis: Redis, database: Database, settings: Settings
) -> None:
    await sent(client, "inv")
    await number_all(client, "inv", database)
    assert (await page(client, channelId="inv"))[2] == "hit"
    assert (await client.delete("/api/cache/channels/inv")).status == 204
    assert await redis.exists(channel_stream("inv").name) == 0
    assert await redis.exists(channel_stream("inv").meta) == 1
    assert await page(client, channelId="inv") == ([1], None, "miss")
    (record,) = await published(settings, "inv", USER_ACTIVITY)
    assert (record["type"], record["channelId"]) == ("active_users_wanted", "inv")


async def test_invalidated_server_is_all_of_its_channels(
    client: Client, database: Database, settings: Settings
) -> None:
    for name, server in (("of-s-1", "s"), ("of-s-2", "s"), ("of-t", "t")):
        await Channels(database).create(NewChannel(name, "open", name, server, "alice"))
    assert (await client.delete("/api/cache/servers/s")).status == 204
    wanted = {
        name: [r["type"] for r in await published(settings, name, USER_ACTIVITY)]
        for name in ("of-s-1", "of-s-2", "of-t")
    }
    assert wanted == {
        "of-s-1": ["active_users_wanted"],
        "of-s-2": ["active_users_wanted"],
        "of-t": [],
    }


async def test_invalidated_user_is_wanted_in_every_channel_of_theirs(
    client: Client, database: Database, settings: Settings
) -> None:
    await Members(database).add("user-1", {"zoe": MEMBER, "bob": MEMBER})
    await Members(database).add("user-2", {"zoe": MEMBER})
    assert (await client.delete("/api/cache/users/zoe", headers=ALICE)).status == 204
    for channel in ("user-1", "user-2"):
        (record,) = await published(settings, channel, MESSAGES)
        assert (record["type"], record["userId"]) == ("projection_wanted", "zoe")
