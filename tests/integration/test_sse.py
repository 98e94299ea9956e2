"""Server-sent events on a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from redis.asyncio import Redis as RedisClient

from app.archive.indexes import ensure_indexes
from app.clients import Database
from app.keys import channel_stream, user_stream
from app.settings import load
from tests.support.realtime import Realtime, SseClient, WsClient, serve


@pytest.fixture
async def realtime(redis: RedisClient, database: Database) -> AsyncIterator[Realtime]:
    await ensure_indexes(database)
    async with serve(load(), database, redis) as realtime:
        yield realtime


async def test_stream_begins_with_hello_and_joined_in_order_of_the_url(realtime: Realtime) -> None:
    async with SseClient(realtime.url, "b,a") as client:
        assert client.response.headers["Content-Type"] == "text/event-stream"
        hello, b, a = await client.events(3)
        assert (hello["type"], b["channelId"], a["channelId"]) == ("hello", "b", "a")
        assert client.last_id_on == "joined"
        await realtime.append("a", 3)
        assert [frame["seq"] for frame in await client.events(3)] == [1, 2, 3]


async def test_every_logged_event_carries_an_id_to_go_on_from(realtime: Realtime) -> None:
    async with SseClient(realtime.url, "a,b") as client:
        await client.events(3)
        await realtime.append("a", 2)
        await realtime.append("b", 2)
        await realtime.notify(user_stream("u1"))
        ids = []
        for _ in range(5):
            await client.next()
            ids.append(client.last_event_id)
    assert len(set(ids)) == 5
    for gone_on_from, event_id in enumerate(ids):
        async with SseClient(realtime.url, "b,a", last_event_id=event_id) as client:
            frames = await client.events(4)
            assert [frame["type"] for frame in frames] == ["hello", "resumed", "joined", "joined"]
            assert all(frame["recovered"] == "log" for frame in frames[1:])
            missed = await client.events(4 - gone_on_from)
            assert len(missed) == 4 - gone_on_from
            await realtime.redis.publish(
                channel_stream("a").live, b'{"type":"typing","channelId":"a","data":{}}'
            )
            assert (await client.next())["type"] == "typing"


async def test_browser_that_reconnects_again_and_again_gets_each_once(realtime: Realtime) -> None:
    async def pour() -> None:
        for _ in range(60):
            await realtime.append("a", 5)
            await realtime.append("b", 5)
            await asyncio.sleep(0.002)

    seen: dict[str, list[int]] = {"a": [], "b": []}
    async with SseClient(realtime.url, "a,b") as client:
        await client.events(3)
        last_event_id = client.last_event_id
    pouring = asyncio.create_task(pour())
    async with asyncio.timeout(60):
        while len(seen["a"]) + len(seen["b"]) < 600:
            async with SseClient(realtime.url, "a,b", last_event_id=last_event_id) as client:
                for _ in range(70):
                    frame = await client.next()
                    last_event_id = client.last_event_id
                    if frame["type"] == "message":
                        seen[frame["channelId"]].append(frame["seq"])
                    if len(seen["a"]) + len(seen["b"]) == 600:
                        break
    await pouring
    assert seen == {"a": list(range(1, 301)), "b": list(range(1, 301))}


async def test_id_names_the_old_position_until_history_is_complete(realtime: Realtime) -> None:
    async with SseClient(realtime.url, "a") as client:
        await client.events(2)
        begun_at = client.last_event_id
    await realtime.append("a", 150, stored=True)
    await realtime.redis.delete(channel_stream("a").log)
    async with SseClient(realtime.url, "a", last_event_id=begun_at) as client:
        assert (await client.until("joined"))["recovered"] == "history"
        halfway = client.last_event_id
        assert (await client.until("history"))["more"] is True
        assert client.last_event_id == halfway
        assert (await client.until("history"))["more"] is False
        complete = client.last_event_id
    assert complete != halfway
    async with SseClient(realtime.url, "a", last_event_id=halfway) as client:
        assert (await client.until("joined"))["recovered"] == "history"
    async with SseClient(realtime.url, "a", last_event_id=complete) as client:
        assert (await client.until("joined"))["recovered"] == "log"


@pytest.mark.parametrize("last_event_id", ["x", "AAAA", "%%%", "A" * 64])
async def test_last_event_id_that_is_none_is_unknown(
    realtime: Realtime, last_event_id: str
) -> None:
    async with SseClient(realtime.url, "a", last_event_id=last_event_id) as client:
        _, resumed, joined = await client.events(3)
    assert (resumed["recovered"], resumed["reason"]) == (False, "unknown_cursor")
    assert (joined["recovered"], joined["reason"]) == (False, "unknown_cursor")


async def test_last_event_id_of_other_channels_is_unknown(realtime: Realtime) -> None:
    async with SseClient(realtime.url, "a") as client:
        await client.events(2)
    async with SseClient(realtime.url, "b", last_event_id=client.last_event_id) as other:
        assert (await other.until("joined"))["reason"] == "unknown_cursor"


async def test_client_that_comes_from_websocket_brings_its_cursors(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as ws:
        user_cursor = (await ws.until("hello"))["userCursor"]
        cursor = (await ws.join("a"))["cursor"]
    await realtime.append("a", 2)
    await realtime.append("b", 2)
    since = f"{cursor},-"
    async with SseClient(realtime.url, "a,b", since=since, userSince=user_cursor) as client:
        frames = await client.events(6)
    assert [frame["type"] for frame in frames[:4]] == ["hello", "resumed", "joined", "joined"]
    assert (frames[2]["recovered"], "recovered" in frames[3]) == ("log", False)
    assert [frame["seq"] for frame in frames[4:]] == [1, 2]


async def test_hundred_channels_resume_by_last_event_id(realtime: Realtime) -> None:
    channels = ",".join(f"{'x' * 50}{index}" for index in range(100))
    async with SseClient(realtime.url, channels) as client:
        await client.events(101)
    async with SseClient(realtime.url, channels, last_event_id=client.last_event_id) as client:
        frames = await client.events(102)
    assert all(frame["recovered"] == "log" for frame in frames[1:])


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({}, 422, "invalid"),
        ({"channels": "a b"}, 422, "invalid"),
        ({"channels": "a,a"}, 422, "invalid"),
        ({"channels": "a,b", "since": "-"}, 422, "invalid"),
        ({"channels": ",".join(map(str, range(101)))}, 422, "too_many_channels"),
    ],
)
async def test_bad_request_is_a_problem(
    realtime: Realtime, query: dict[str, str], status: int, code: str
) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{realtime.url}/api/events"
        response = await session.get(url, params={"userId": "u1", **query})
        assert (response.status, (await response.json(content_type=None))["code"]) == (status, code)
    assert all(not stream.joined for stream in realtime.hub.streams)


async def test_client_that_goes_leaves_nothing(realtime: Realtime) -> None:
    async with SseClient(realtime.url, "a") as client:
        await client.events(2)
    async with asyncio.timeout(30):
        while realtime.hub.connections:
            await asyncio.sleep(0.02)
    assert all(not stream.followers and not stream.joined for stream in realtime.hub.streams)


async def test_drain_tells_and_ends_the_stream(realtime: Realtime) -> None:
    async with SseClient(realtime.url, "a") as client:
        await client.events(2)
        await realtime.hub.drain()
        assert (await client.next())["type"] == "reconnect"
        with pytest.raises(ConnectionError):
            await client.next()
