"""Reactions end to end, on real servers and in real processes."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from pydantic import SecretStr
from redis import Redis as RedisClient

from app.archive.reactions import Reactions
from app.archive.shown_reactions import Wish
from app.clients import open_mongodb
from app.settings import Settings
from dev.processes import Process
from tests.support.clients import Listener, event_source, websocket
from tests.support.stack import Stack, Stored


@pytest.fixture(scope="module")
def processes(stack: Stack) -> dict[str, Process]:
    gateways = stack.start("web.1", "web.2")
    messages = stack.start("messages.1", HUBBUB_INSTANCE="messages.1")
    reactions = stack.start("reactions.1", HUBBUB_INSTANCE="reactions.1")
    return {process.name: process for process in [*gateways, *messages, *reactions]}


@pytest.fixture
def documents(stored: Stored) -> Any:
    return stored["messages"]


@pytest.fixture
def redis(stack: Stack) -> Iterator[RedisClient]:
    with RedisClient(host="127.0.0.1", port=stack.redis.port) as client:
        yield client


async def post(http: aiohttp.ClientSession, url: str, channel: str) -> str:
    body = {"content": "x", "channelId": channel, "senderId": "u1", "senderName": "John"}
    async with http.post(f"{url}/api/messages", json=body) as response:
        assert response.status == 201, await response.text()
        return str((await response.json())["id"])


def address(url: str, message_id: str, emoji: str) -> str:
    return f"{url}/api/messages/{message_id}/reactions/{quote(emoji)}"


async def call(
    http: aiohttp.ClientSession, method: str, url: str, user: str = ""
) -> tuple[int, Any]:
    headers = {"X-User-Id": user} if user else {}
    async with http.request(method, url, headers=headers) as response:
        return response.status, orjson.loads(await response.read())


def cached(redis: RedisClient, channel: str) -> list[Any]:
    found = redis.lrange(f"messages:{channel}", 0, -1)
    assert isinstance(found, list)
    return [orjson.loads(each) for each in found]


def state_of(client: Listener, message_id: str) -> Any:
    """The message as a client knows it that applies what it is sent, by rev."""
    state: dict[str, Any] = {"rev": 0}
    for frame in client.of_type("message", "message_updated", "reaction_added", "reaction_removed"):
        data = frame["data"]
        message = data.get("message", data)
        if message["id"] == message_id and message["rev"] > state["rev"]:
            state = message
    return state


async def test_reaction_reaches_document_cache_and_clients_once_and_back_again(
    http: aiohttp.ClientSession, one: str, two: str, redis: RedisClient
) -> None:
    async with websocket(one, "a") as first, event_source(two, "once") as second:
        await first.join("once")
        message_id = await post(http, one, "once")
        await first.until_type("message")
        status, message = await call(http, "PUT", address(one, message_id, "👍🏽"), "ann")
        assert (status, message["rev"]) == (200, 2)
        assert message["reactions"] == [{"emoji": "👍🏽", "count": 1, "userIds": ["ann"]}]
        assert await call(http, "PUT", address(two, message_id, "👍🏽"), "ann") == (200, message)
        for client in (first, second):
            frame = await client.until_type("reaction_added")
            assert (frame["channelId"], frame["seq"]) == ("once", 2)
            assert frame["data"] == {
                "messageId": message_id,
                "emoji": "👍🏽",
                "userId": "ann",
                "message": message,
            }
        assert cached(redis, "once") == [message]
        await first.send("add_reaction", id=7, messageId=message_id, emoji="🎉")
        await first.until_type("ack")
        status, message = await call(http, "DELETE", address(two, message_id, "👍🏽"), "ann")
        assert message["reactions"] == [{"emoji": "🎉", "count": 1, "userIds": ["a"]}]
        assert await call(http, "DELETE", address(one, message_id, "👍🏽"), "ann") == (200, message)
        for client in (first, second):
            await client.until_type("reaction_removed")
            types = [f["type"] for f in client.frames if f["type"].startswith("reaction")]
            assert types == ["reaction_added", "reaction_added", "reaction_removed"]
        await first.send("remove_reaction", id=8, messageId=message_id, emoji="🎉")
        await second.until_type("reaction_removed", 2)
        assert state_of(second, message_id)["reactions"] == []


async def test_twenty_users_at_once_are_counted_exactly_everywhere(
    http: aiohttp.ClientSession, one: str, two: str, redis: RedisClient, documents: Any
) -> None:
    async with websocket(one, "a") as first, event_source(two, "crowd") as second:
        await first.join("crowd")
        message_id = await post(http, one, "crowd")
        await first.until_type("message")
        answers = await asyncio.gather(
            *(
                call(http, "PUT", address((one, two)[n % 2], message_id, "👍"), f"u{n}")
                for n in range(20)
            )
        )
        assert {status for status, _ in answers} == {200}
        expected = documents.find_one({"_id": message_id})["reactions"]
        assert [(kind["emoji"], kind["count"]) for kind in expected] == [("👍", 20)]
        assert sorted(expected[0]["userIds"]) == sorted(f"u{n}" for n in range(20))
        for client in (first, second):
            await client.until(lambda each: state_of(each, message_id)["rev"] == 21)
            assert state_of(client, message_id)["reactions"] == expected
        assert cached(redis, "crowd")[0]["reactions"] == expected


async def test_refusals_name_what_is_wrong(http: aiohttp.ClientSession, one: str) -> None:
    message_id = await post(http, one, "refused")
    for emoji in ("a b", "\u2003", "\x07", "x" * 33, "%C2%A0", "%ff", "%ED%A0%80", "%e2%82"):
        url = f"{one}/api/messages/{message_id}/reactions/{emoji if '%' in emoji else quote(emoji)}"
        status, problem = await call(http, "PUT", url, "ann")
        assert (status, problem["code"]) == (422, "invalid"), emoji
        assert [error["path"] for error in problem["errors"]] == ["emoji"]
    assert (await call(http, "PUT", address(one, message_id, "x")))[0] == 401
    for n in range(20):
        assert (await call(http, "PUT", address(one, message_id, f"{n}%ff"), "ann"))[0] == 200
    status, problem = await call(http, "PUT", address(one, message_id, "one-more"), "ann")
    assert (status, problem["code"]) == (409, "conflict")
    assert (await call(http, "PUT", address(one, message_id, "7%ff"), "bob"))[0] == 200


async def test_who_reacted_is_paged_and_a_deleted_message_takes_no_reaction(
    http: aiohttp.ClientSession, one: str
) -> None:
    message_id = await post(http, one, "paged")
    url = address(one, message_id, "a/b")
    url = url.replace("a/b", "a%2Fb")
    for user in ("zoe", "ann", "bob"):
        assert (await call(http, "PUT", url, user))[0] == 200
    _, page = await call(http, "GET", f"{url}?limit=2")
    assert [each["userId"] for each in page["items"]] == ["zoe", "ann"]
    assert page["items"][0]["createdAt"].endswith("Z")
    _, page = await call(http, "GET", f"{url}?limit=2&after={page['next']}")
    assert [each["userId"] for each in page["items"]] == ["bob"]
    assert page["next"] is None
    status, problem = await call(http, "GET", f"{url}?limit=0")
    assert (status, problem["errors"][0]["path"]) == (422, "limit")
    assert (await call(http, "DELETE", f"{one}/api/messages/{message_id}", "u1"))[0] == 200
    for method in ("PUT", "DELETE", "GET"):
        assert (await call(http, method, url, "ann"))[0] == 404


async def test_reaction_is_never_seen_before_its_message(
    http: aiohttp.ClientSession, one: str, two: str, processes: dict[str, Process]
) -> None:
    messages = processes["messages.1"]
    async with websocket(one, "a") as first, event_source(two, "early") as second:
        await first.join("early")
        await asyncio.to_thread(messages.kill)
        message_id = await post(http, one, "early")
        status, message = await call(http, "PUT", address(two, message_id, "👍"), "ann")
        assert (status, message["number"]) == (200, None)
        await asyncio.sleep(1.5)
        assert not first.of_type("message", "reaction_added")
        messages.start()
        for client in (first, second):
            await client.until(lambda each: bool(state_of(each, message_id).get("reactions")), 40)
            (kind,) = state_of(client, message_id)["reactions"]
            assert kind == {"emoji": "👍", "count": 1, "userIds": ["ann"]}
            logged = [
                f["type"] for f in client.frames if f.get("channelId") == "early" and "seq" in f
            ]
            assert logged[0] == "message"
        await asyncio.to_thread(messages.wait_ready)


async def test_reaction_that_never_reached_kafka_is_published_by_the_reconciler(
    http: aiohttp.ClientSession, one: str, stack: Stack, redis: RedisClient
) -> None:
    async with websocket(one, "a") as client:
        await client.join("lost")
        message_id = await post(http, one, "lost")
        await client.until_type("message")
        # A gateway that is killed between MongoDB and Kafka leaves just this behind.
        uri = SecretStr(stack.mongodb.environment["MONGODB_URI"])
        database = open_mongodb(Settings(MONGODB_URI=uri))
        with closing(database.client):
            wish = Wish("👍", "ann", is_wanted=True)
            assert await Reactions(database).change(message_id, wish) is not None
        frame = await client.until_type("message_updated", seconds=40)
        assert frame["data"]["reactions"] == [{"emoji": "👍", "count": 1, "userIds": ["ann"]}]
        assert cached(redis, "lost") == [frame["data"]]


async def test_killed_worker_loses_no_reaction_and_doubles_none(
    http: aiohttp.ClientSession,
    one: str,
    two: str,
    processes: dict[str, Process],
    documents: Any,
    redis: RedisClient,
) -> None:
    worker = processes["reactions.1"]
    channels = [f"kill{n}" for n in range(4)]
    async with websocket(one, "a") as first, event_source(two, *channels) as second:
        ids: dict[str, str] = {}
        for channel in channels:
            await first.join(channel)
            ids[channel] = await post(http, one, channel)
        await first.until_type("message", 4)

        async def react(channel: str) -> None:
            for n in range(60):
                url = address(one, ids[channel], "👍")
                assert (await call(http, "PUT", url, f"u{n}"))[0] == 200
                if n % 3 == 0:
                    assert (await call(http, "DELETE", url, f"u{n}"))[0] == 200

        async def kill_twice() -> None:
            for _ in range(2):
                await asyncio.sleep(0.7)
                await asyncio.to_thread(worker.kill)
                worker.start()
                await asyncio.to_thread(worker.wait_ready)

        await asyncio.gather(kill_twice(), *(react(channel) for channel in channels))
        expected = [("reaction_added", f"u{n}") for n in range(60)]
        for n in range(57, -1, -3):
            expected.insert(n + 1, ("reaction_removed", f"u{n}"))
        for client in (first, second):
            await client.until(
                lambda each: len(each.of_type("reaction_added", "reaction_removed")) >= 320, 60
            )
        pending = {"pendingSince": {"$exists": True}}
        async with asyncio.timeout(45):  # An event is there before its change pends no more.
            while documents.find_one({"_id": {"$in": [*ids.values()]}, **pending}):
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # What comes twice comes now.
        for client in (first, second):
            for channel, message_id in ids.items():
                frames = [
                    f
                    for f in client.of_type("reaction_added", "reaction_removed", "message_updated")
                    if f["channelId"] == channel
                ]
                assert [(f["type"], f["data"]["userId"]) for f in frames] == expected
                document = documents.find_one({"_id": message_id})
                assert document["reactions"][0]["count"] == 40
                assert state_of(client, message_id)["reactions"] == document["reactions"]
                assert cached(redis, channel)[0]["reactions"] == document["reactions"]
                assert "pendingSince" not in document


async def test_reaction_while_mongodb_is_frozen_is_refused_in_time_and_can_be_repeated(
    http: aiohttp.ClientSession, one: str, stack: Stack
) -> None:
    message_id = await post(http, one, "frozen")
    url = address(one, message_id, "👍")
    stack.mongodb.freeze()
    try:
        async with asyncio.timeout(9):
            answers = await asyncio.gather(
                *(call(http, method, url, "ann") for method in ("PUT", "DELETE", "GET"))
            )
    finally:
        stack.mongodb.thaw()
    for status, problem in answers:
        assert (status, problem["code"], problem["dependency"]) == (503, "unavailable", "mongodb")
    async with asyncio.timeout(45):
        while (answer := await call(http, "PUT", url, "ann"))[0] != 200:
            assert answer[0] == 503
    (kind,) = answer[1]["reactions"]
    assert kind == {"emoji": "👍", "count": 1, "userIds": ["ann"]}
