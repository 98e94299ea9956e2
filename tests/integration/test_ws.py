"""The WebSocket on a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from redis.asyncio import Redis as RedisClient

from app.clients import Database
from app.errors import Unavailable
from app.keys import channel_stream, user_stream
from app.settings import load
from tests.support.realtime import Realtime, WsClient, serve
from web.transports import ws
from web.waiting import Counts


@pytest.fixture
async def realtime(redis: RedisClient, database: Database) -> AsyncIterator[Realtime]:
    async with serve(load(), database, redis) as realtime:
        yield realtime


async def test_hello_says_who_and_where(realtime: Realtime) -> None:
    async with WsClient(realtime.url, "u7") as client:
        hello = await client.next()
    assert hello["type"] == "hello"
    assert hello["user"] == {"id": "u7", "name": "u7"}
    assert hello["userCursor"].split(".")[1] == "0"
    assert hello["heartbeatSeconds"] == 25
    assert hello["unread"] == {"total": 0, "mentions": 0}


async def test_hello_to_a_user_without_a_name_says_null(realtime: Realtime) -> None:
    url = f"{realtime.url}/ws?userId=u7"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        assert (await socket.receive_json())["user"] == {"id": "u7", "name": None}


async def test_upgrade_when_nobody_is_named_is_401(realtime: Realtime) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"{realtime.url}/ws")
    assert caught.value.status == 401


async def test_join_when_messages_follow_gets_each_once_in_order(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as one, WsClient(realtime.url, "u2") as two:
        joined = await one.join("c1")
        assert "recovered" not in joined
        await two.join("c1")
        for _ in range(20):
            await realtime.append("c1", 5)
        for client in (one, two):
            frames = await client.events(100)
            assert [frame["seq"] for frame in frames] == list(range(1, 101))
            assert [frame["data"]["number"] for frame in frames] == list(range(1, 101))


async def test_user_events_reach_all_connections_of_the_user_alone(realtime: Realtime) -> None:
    url = realtime.url
    async with WsClient(url, "u1") as a, WsClient(url, "u1") as b, WsClient(url, "u2") as other:
        for client in (a, b, other):
            await client.until("hello")
            await client.say("ping")
            await client.until("pong")
        await realtime.notify(user_stream("u1"))
        for client in (a, b):
            assert (await client.until("notification"))["seq"] == 1
        with pytest.raises(TimeoutError):
            await other.next(0.2)


async def test_user_event_before_the_first_op_is_told_behind_it(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "FIRST_OP_SECONDS", 60)
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        await realtime.notify(user_stream("u1"))
        await client.say("ping")
        assert {frame["type"] for frame in await client.events(2)} == {"pong", "notification"}


async def test_user_event_is_told_at_last_to_who_says_nothing(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ws, "FIRST_OP_SECONDS", 0.1)
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        await realtime.notify(user_stream("u1"))
        assert (await client.next())["seq"] == 1


async def test_user_event_waits_for_who_comes_back_over_a_slow_link(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        cursor = (await client.until("hello"))["userCursor"]
    await realtime.notify(user_stream("u1"))
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        await realtime.notify(user_stream("u1"))
        with pytest.raises(TimeoutError):
            await client.next(1.05)
    async with WsClient(realtime.url) as client:
        await client.say("resume", user=cursor)
        await client.until("resumed")
        assert [frame["seq"] for frame in await client.events(2)] == [1, 2]


async def test_user_event_is_not_told_before_a_resume_that_was_refused_comes_again(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise Unavailable("redis")

    async with WsClient(realtime.url) as client:
        cursor = (await client.until("hello"))["userCursor"]
    await realtime.notify(user_stream("u1"))
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        with monkeypatch.context() as patch:
            patch.setattr("web.ops.streams.decide", refuse)
            await client.say("resume", user=cursor)
            assert (await client.next())["code"] == "unavailable"
        await realtime.notify(user_stream("u1"))
        await client.say("resume", user=cursor)
        frames = await client.events(3)
    assert [(frame["type"], frame.get("seq")) for frame in frames] == [
        ("resumed", None), ("notification", 1), ("notification", 2),
    ]  # fmt: skip


async def test_client_that_cannot_be_greeted_is_closed(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: str) -> Counts:
        raise ValueError("no counts")

    monkeypatch.setattr(realtime.gateway.waiting, "of_user", fail)
    async with WsClient(realtime.url) as client:
        assert await client.closed() == 4000
    async with asyncio.timeout(30):
        while realtime.hub.connections:
            await asyncio.sleep(0.01)


async def test_leave_when_messages_follow_gets_none(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        await client.say("leave_channel", id=2, channelId="c1")
        assert await client.next() == {"type": "left", "id": 2, "channelId": "c1"}
        await realtime.append("c1")
        await client.say("ping", id=3)
        assert await client.next() == {"type": "pong", "id": 3}


async def test_unlogged_event_is_forwarded_as_it_is(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        frame = b'{"type":"typing","channelId":"c1","data":{"userId":"u2","userName":"Bo"}}'
        await realtime.redis.publish(channel_stream("c1").live, frame)
        assert (await client.next())["data"]["userId"] == "u2"


async def test_payload_that_is_no_event_disturbs_nobody(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        for nonsense in (b"", b"nonsense", b"a b c\n{}", b"\xff\xff 1\n{}"):
            await realtime.redis.publish(channel_stream("c1").live, nonsense)
        await realtime.append("c1")
        assert (await client.next())["seq"] == 1


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("{", "bad_json", ""),
        ("[]", "invalid", ""),
        ("{}", "invalid", "op"),
        ('{"op":"dance","id":9}', "invalid", "op"),
        ('{"id":9}', "invalid", "op"),
        ('{"op":"resume","id":9,"channels":{"a b":"x"}}', "invalid", "channels.a b"),
        ('{"op":"ping","id":9,"extra":1}', "invalid", "extra"),
        ('{"op":"join_channel","id":9}', "invalid", "channelId"),
        ('{"op":"join_channel","channelId":"a b","id":9}', "invalid", "channelId"),
        ('{"op":"join_channel","channelId":"c","since":3,"id":9}', "invalid", "since"),
    ],
)
async def test_bad_frame_is_named_and_the_connection_stays(
    realtime: Realtime, text: str, code: str, named: str
) -> None:
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        await client.socket.send_str(text)
        error = await client.next()
        assert (error["type"], error["code"]) == ("error", code)
        assert error.get("id") == (9 if '"id":9' in text else None)
        if named:
            assert named in [item["path"] for item in error["errors"]]
        await client.say("ping", id=2)
        assert (await client.next())["type"] == "pong"


async def test_binary_frame_is_refused_and_the_connection_stays(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        await client.socket.send_bytes(b"{}")
        assert (await client.next())["code"] == "invalid"
        await client.say("ping", id=2)
        assert (await client.next())["type"] == "pong"


async def test_tenth_bad_frame_closes(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        for _ in range(10):
            await client.socket.send_str("{")
        assert await client.closed() == 4001


async def test_tenth_op_with_a_wrong_value_closes_nothing(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        for _ in range(10):
            await client.say("send_message", id=1, channelId="c1", content=" ")
            assert (await client.next())["code"] == "invalid"
        await client.say("ping", id=2)
        assert (await client.next())["type"] == "pong"


async def test_too_large_frame_closes(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        await client.say("ping", id="x", pad="y" * 70_000)
        assert await client.closed() == 1009


async def test_frame_of_64_kib_is_read(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        text = '{"op":"ping","id":1}'
        await client.socket.send_str(text + " " * (65_536 - len(text)))
        assert (await client.next())["type"] == "pong"


async def test_join_of_the_101st_channel_is_refused(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        for index in range(100):
            assert (await client.join(f"c{index}"))["type"] == "joined"
        assert (await client.join("c100"))["code"] == "too_many_channels"
        assert (await client.join("c5"))["type"] == "joined"  # Joined before.


async def test_resume_of_101_channels_joins_none(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        await client.say("resume", id=2, channels={f"c{index}": "x" for index in range(101)})
        assert (await client.next())["code"] == "too_many_channels"
        await realtime.append("c1")
        with pytest.raises(TimeoutError):
            await client.next(0.3)


async def test_ping_of_the_client_is_answered(realtime: Realtime) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{realtime.url}/ws?userId=u1"
        async with session.ws_connect(url, autoping=False) as socket:
            await socket.receive(timeout=30)
            await socket.ping(b"abc")
            answer = await socket.receive(timeout=30)
    assert (answer.type, bytes(answer.data)) == (aiohttp.WSMsgType.PONG, b"abc")


async def test_close_of_the_client_is_answered_and_leaves_nothing(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.join("c1")
        await client.socket.close()
        assert client.socket.close_code == 1000
    async with asyncio.timeout(30):
        while realtime.hub.connections:
            await asyncio.sleep(0.01)
    assert all(not stream.followers and not stream.joined for stream in realtime.hub.streams)


async def test_silent_client_is_pinged_then_dropped(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{realtime.url}/ws?userId=u1"
        async with session.ws_connect(url, autoping=False) as socket:
            await socket.receive(timeout=30)
            for connection in realtime.hub.connections:
                realtime.hub.sweep.discard(connection)
                connection.wheel_slot = (realtime.hub.sweep.tick + 1) % 25
                realtime.hub.sweep._wheel[connection.wheel_slot].add(connection)
            assert (await socket.receive(timeout=30)).type is aiohttp.WSMsgType.PING
            for connection in realtime.hub.connections:
                realtime.hub.sweep.discard(connection)
                connection.wheel_slot = (realtime.hub.sweep.tick + 1) % 25
                realtime.hub.sweep._wheel[connection.wheel_slot].add(connection)
            await asyncio.wait_for(socket.receive(), 30)
    assert not realtime.hub.connections


async def test_drain_sends_every_client_away(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as one, WsClient(realtime.url) as two:
        await one.join("c1")
        await two.join("c1")
        draining = asyncio.create_task(realtime.hub.drain())
        for client in (one, two):
            assert 0 <= (await client.until("reconnect"))["delayMs"] <= 5000
            assert await client.closed() == 4010
        await draining
    assert not realtime.hub.connections


async def test_drain_when_a_client_does_not_answer_is_bounded(realtime: Realtime) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(realtime.url.split(":")[-1]))
    writer.write(
        b"GET /ws?userId=u1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b'"hello"')
    async with asyncio.timeout(30):  # For ever, where it waits for the client.
        await realtime.hub.drain()
    writer.close()


async def test_join_again_and_again_is_one_join(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        for _ in range(3):
            await client.join("c1", "x")
        (stream,) = [stream for stream in realtime.hub.streams if stream.key.id == "c1"]
        assert (stream.joined, len(stream.followers)) == (1, 1)
        await realtime.append("c1")
        assert (await client.next())["seq"] == 1
        await client.say("leave_channel", id=2, channelId="c1")
        await client.until("left")
        assert (stream.joined, len(stream.followers)) == (0, 0)


async def test_ops_sent_with_the_handshake_are_handled_in_order(realtime: Realtime) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(realtime.url.split(":")[-1]))
    request = (
        b"GET /ws?userId=u1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    ops = [b'{"op":"ping","id":%d}' % index for index in range(200)]
    writer.write(request + b"".join(bytes((0x81, 0x80 | len(op), 0, 0, 0, 0)) + op for op in ops))
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(30):
        answered = await reader.readuntil(b'"id":199}')
    assert answered.index(b'"hello"') < answered.index(b'"id":0}') < answered.index(b'"id":120}')
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "changed",
    [
        {"Upgrade": "h2c"},
        {"Connection": "close"},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "%%%"},
    ],
)
async def test_upgrade_that_is_no_handshake_is_refused(
    realtime: Realtime, changed: dict[str, str]
) -> None:
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **changed,
    }
    async with aiohttp.ClientSession() as session:
        response = await session.get(f"{realtime.url}/ws?userId=u1", headers=headers)
        assert response.status == 422
        response.release()
