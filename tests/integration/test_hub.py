"""The hub when pub/sub drops events, Redis goes away or back in time, and clients stall."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import aiohttp
import orjson
import pytest
from redis.asyncio import Redis as RedisClient

from app.archive.indexes import ensure_indexes
from app.clients import Database
from app.keys import channel_stream, user_stream
from app.settings import Settings, load
from dev.servers import Redis
from tests.support.realtime import Realtime, SseClient, WsClient, serve


@pytest.fixture
async def realtime(redis: RedisClient, database: Database) -> AsyncIterator[Realtime]:
    await ensure_indexes(database)
    async with serve(load(), database, redis) as realtime:
        yield realtime


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def on_own_redis(
    own_redis: Redis, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Realtime]:
    for name, value in own_redis.environment.items():
        monkeypatch.setenv(name, value)
    await ensure_indexes(database)
    settings: Settings = load()
    async with serve(settings, database) as realtime:
        yield realtime


class Deaf:
    """Drops what is published to a channel on its way to the hub."""

    def __init__(self, realtime: Realtime, channel_id: str) -> None:
        self._hub = realtime.hub
        self._name = channel_stream(channel_id).live.encode()

    async def __aenter__(self) -> None:
        self._stream = self._hub._streams.pop(self._name)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0.1)
        self._hub._streams[self._name] = self._stream


async def test_hole_is_filled_before_anything_later_goes_out(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        await realtime.append("c1", 2)
        async with Deaf(realtime, "c1"):
            await realtime.append("c1", 250)
        await realtime.append("c1", 3)
        assert [f["seq"] for f in await client.events(255)] == list(range(1, 256))


async def test_hole_in_one_stream_holds_up_no_other(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = asyncio.Event()
    may_go_on = asyncio.Event()
    read = realtime.log.read

    async def read_late(*arguments: object) -> object:
        reading.set()
        await may_go_on.wait()
        return await read(*arguments)  # type: ignore[arg-type]  # passed on unseen

    async with WsClient(realtime.url) as client:
        await client.join("c1")
        await client.join("c2")
        monkeypatch.setattr(realtime.log, "read", read_late)
        async with Deaf(realtime, "c1"):
            await realtime.append("c1")
        await realtime.append("c1")
        await asyncio.wait_for(reading.wait(), 30)
        await realtime.append("c2", 3)
        assert [f["channelId"] for f in await client.events(3)] == ["c2"] * 3
        await realtime.append("c1")
        may_go_on.set()
        assert [f["seq"] for f in await client.events(3)] == [1, 2, 3]


async def test_last_event_before_silence_is_found_by_the_position_check(
    realtime: Realtime,
) -> None:
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        async with Deaf(realtime, "c1"):
            await realtime.append("c1")
        assert (await client.next())["seq"] == 1


async def test_hole_that_the_log_does_not_cover_is_a_resync(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client, SseClient(realtime.url, "c1", "u2") as sse:
        await client.join("c1")
        await sse.until("joined")
        async with Deaf(realtime, "c1"):
            await realtime.append("c1", 3)
            await realtime.redis.xtrim(channel_stream("c1").log, maxlen=1, approximate=False)
        await realtime.append("c1")
        resync = await client.next()
        assert resync["type"] == "resync"
        assert resync["channelId"] == "c1"
        assert (await sse.next())["type"] == "resync"
        assert sse.last_id_on == "resync"
        await realtime.append("c1")
        following = await client.next()
        assert following["seq"] == int(resync["cursor"].split(".")[1]) + 1


async def test_flushed_redis_is_a_new_epoch_and_a_resync(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        before = (await client.join("c1"))["cursor"]
        await realtime.append("c1", 2, stored=True)
        await client.events(2)
        await realtime.redis.flushall()
        await realtime.append("c1", 2, stored=True)
        resync = await client.next()
        assert resync["type"] == "resync"
        assert resync["cursor"].split(".")[0] != before.split(".")[0]
        await realtime.append("c1", stored=True)
        assert (await client.next())["data"]["number"] == 5


async def test_payloads_that_come_twice_or_late_change_nothing(realtime: Realtime) -> None:
    name = channel_stream("c1").live
    async with WsClient(realtime.url) as client, realtime.redis.pubsub() as witness:
        await client.join("c1")
        await witness.subscribe(name)
        for _ in range(3):
            await realtime.append("c1", 2)
        assert [f["seq"] for f in await client.events(6)] == [1, 2, 3, 4, 5, 6]
        for _ in range(4):
            published = await witness.get_message(timeout=1)
            if published is not None and published["type"] == "message":
                await realtime.redis.publish(name, published["data"])
        await realtime.append("c1")
        assert (await client.next())["seq"] == 7


async def test_redis_killed_and_back_makes_followers_whole(
    on_own_redis: Realtime, own_redis: Redis
) -> None:
    realtime = on_own_redis
    async with WsClient(realtime.url) as client:
        before = (await client.join("c1"))["cursor"]
        await realtime.append("c1", 2, stored=True)
        await client.events(2)
        own_redis.kill()
        await asyncio.sleep(0.3)
        refused = await client.join("c2")
        assert (refused["code"], refused["dependency"]) == ("unavailable", "redis")
        assert refused["retryAfter"] > 0
        own_redis.start()
        # Another run of the server: what it knows may be old, so the epoch is new.
        frames = await client.events(2)
        assert {frame["type"] for frame in frames} == {"resync"}
        owners = [str(frame.get("channelId") or frame.get("userId")) for frame in frames]
        assert sorted(owners) == ["c1", "u1"]
        cursor = next(frame["cursor"] for frame in frames if "channelId" in frame)
        assert cursor.split(".")[0] != before.split(".")[0]
        assert (await client.join("c2"))["type"] == "joined"
        with pytest.raises(Exception, match=r"(?i)connection|closed"):
            await realtime.append("c3")
        await realtime.append("c1", stored=True)
        assert (await client.next())["channelId"] == "c1"


async def test_lost_subscription_is_made_good_from_the_log(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        await realtime.redis.client_kill_filter(_type="pubsub")
        await realtime.append("c1", 150)
        assert [f["seq"] for f in await client.events(150)] == list(range(1, 151))
        await realtime.append("c1")
        assert (await client.next())["seq"] == 151


async def test_frozen_redis_is_noticed_and_used_again(
    on_own_redis: Realtime, own_redis: Redis
) -> None:
    realtime = on_own_redis
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        own_redis.freeze()
        try:
            refused = await client.join("c2")
            assert refused["code"] == "unavailable"
            await asyncio.sleep(2)
            assert (await client.join("c2", "x"))["code"] == "unavailable"
        finally:
            own_redis.thaw()
        async with asyncio.timeout(30):
            while not realtime.hub.is_connected:
                await asyncio.sleep(0.02)
        await realtime.append("c1")
        assert (await client.until("message"))["seq"] == 1


async def test_client_that_comes_while_redis_is_away_gets_its_own_stream_later(
    on_own_redis: Realtime, own_redis: Redis
) -> None:
    realtime = on_own_redis
    own_redis.kill()
    await asyncio.sleep(0.2)
    async with WsClient(realtime.url) as client:
        assert (await client.next())["userCursor"] is None
        own_redis.start()
        resync = await client.until("resync")
        assert resync["userId"] == "u1"
        await realtime.notify(user_stream("u1"))
        assert (await client.next())["seq"] == 1


async def test_sse_when_redis_is_away_is_503(on_own_redis: Realtime, own_redis: Redis) -> None:
    own_redis.kill()
    await asyncio.sleep(0.2)
    async with SseClient(on_own_redis.url, "c1") as client:
        assert client.response.status == 503
        assert int(client.response.headers["Retry-After"]) > 0


def stall(url: str) -> socket.socket:
    """A client that joins `c1` and never reads again."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((host, int(port)))
    connection.sendall(
        b"GET /ws?userId=stalled HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n"
    )
    op = b'{"op":"join_channel","channelId":"c1"}'
    connection.sendall(bytes((0x81, 0x80 | len(op), 0, 0, 0, 0)) + op)
    return connection


async def test_slow_client_is_dropped_and_costs_the_others_nothing(realtime: Realtime) -> None:
    stalled = await asyncio.to_thread(stall, realtime.url)
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        stream = next(s for s in realtime.hub.streams if s.key.id == "c1")
        async with asyncio.timeout(30):
            while len(stream.followers) < 2:
                await asyncio.sleep(0.01)
        slow = next(c for c in stream.followers if c.user.id == "stalled")
        most = sent = 0
        async with asyncio.timeout(60):
            while slow in stream.followers:
                await realtime.append("c1", 100)
                sent += 100
                assert [f["seq"] for f in await client.events(100)] == list(
                    range(sent - 99, sent + 1)
                )
                most = max(most, slow.transport.get_write_buffer_size())
        assert slow.is_closed
        assert most <= 2 << 20
        async with asyncio.timeout(30):
            while not slow.transport.is_closing():
                await asyncio.sleep(0.02)
    stalled.close()


async def test_slow_client_that_reads_on_is_told_4009_and_resumes_without_loss(
    realtime: Realtime,
) -> None:
    seen: list[int] = []
    async with WsClient(realtime.url) as client:
        cursor = (await client.join("c1"))["cursor"]
        stream = next(s for s in realtime.hub.streams if s.key.id == "c1")
        # It asks for nothing meanwhile, so what comes is not even read from its socket.
        sent = 0
        async with asyncio.timeout(60):
            while stream.followers:
                await realtime.append("c1", 500)
                sent += 500
        while (message := await client.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            frame = orjson.loads(message.data)
            seen.append(frame["seq"])
            cursor = frame["cursor"]
        assert client.socket.close_code == 4009
    async with WsClient(realtime.url) as client:
        joined = await client.join("c1", since=cursor)
        seen += [frame["seq"] for frame in await client.events(sent - len(seen))]
    assert joined["recovered"] == "log"
    assert seen == list(range(1, sent + 1))


async def test_events_that_may_be_lost_are_dropped_first(realtime: Realtime) -> None:
    with await asyncio.to_thread(stall, realtime.url):
        stream, sent = None, 0
        async with asyncio.timeout(30):
            while stream is None or not stream.followers:
                stream = next((s for s in realtime.hub.streams if s.key.id == "c1"), None)
                await asyncio.sleep(0.01)
        (slow,) = stream.followers
        async with asyncio.timeout(60):
            while not slow.is_crowded:
                await realtime.append("c1", 20)
                sent += 20
                while stream.seq < sent or slow._queue:
                    await asyncio.sleep(0.005)
        held = slow.held_bytes
        assert not slow.is_closed
        frame = b'{"type":"typing","channelId":"c1","data":{"pad":"%b"}}' % (b"x" * 5000)
        for _ in range(20):
            await realtime.redis.publish(channel_stream("c1").live, frame)
        async with asyncio.timeout(30):
            while stream.unlogged < 20 or slow._queue:
                await asyncio.sleep(0.01)
        assert slow.held_bytes == held


async def test_stream_that_nobody_follows_is_unsubscribed(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.join("c1")
    name = channel_stream("c1").live
    async with asyncio.timeout(30):
        while dict(await realtime.redis.pubsub_numsub(name)).get(name.encode()):
            await asyncio.sleep(0.1)
        while realtime.hub.streams:
            await asyncio.sleep(0.1)
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        await realtime.append("c1")
        assert (await client.next())["seq"] == 1
