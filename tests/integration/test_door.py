"""What a connection's first bytes make of it, on a real gateway."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.clients import Database
from app.settings import Settings
from tests.support.realtime import Realtime, serve
from web.middlewares import _requests
from web.transports import door

HANDSHAKE = (
    b"GET /ws?userId=u1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
async def realtime(settings: Settings, database: Database) -> AsyncIterator[Realtime]:
    async with serve(settings, database) as served:
        yield served


def port_of(realtime: Realtime) -> int:
    return int(realtime.url.split(":")[-1])


async def talk(realtime: Realtime, *pieces: bytes) -> bytes:
    """Send bytes piece by piece, and return what comes back until a frame or the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(realtime))
    answer = b""
    try:
        for piece in pieces[:-1]:
            writer.write(piece)
            await until_given_to_aiohttp(realtime)
        writer.write(pieces[-1])
        async with asyncio.timeout(30):
            while not answer.endswith(b"}") and (data := await reader.read(65536)):
                answer += data
        return answer
    finally:
        writer.close()
        await writer.wait_closed()


async def until_given_to_aiohttp(realtime: Realtime) -> None:
    """Return when a connection has said something that is no handshake."""
    server = realtime.entrance._runner.server
    assert server is not None
    async with asyncio.timeout(30):
        while not server.connections:
            await asyncio.sleep(0.01)


def answered_at_the_door() -> float:
    # The application of these tests has no middleware that counts.
    return float(_requests.labels("GET", "/ws", 101)._value.get())


async def test_whole_handshake_is_answered_at_the_door(realtime: Realtime) -> None:
    before = answered_at_the_door()
    answer = await talk(realtime, HANDSHAKE)
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
    assert b'"hello"' in answer
    assert answered_at_the_door() == before + 1


@pytest.mark.parametrize("at", [1, 5, 40, len(HANDSHAKE) - 1])
async def test_handshake_in_two_pieces_is_accepted_too(realtime: Realtime, at: int) -> None:
    before = answered_at_the_door()
    assert b'"hello"' in await talk(realtime, HANDSHAKE[:at], HANDSHAKE[at:])
    assert answered_at_the_door() == before


@pytest.mark.parametrize(
    ("changed", "by", "status"),
    [
        (b"userId=u1", b"userName=Ann", b"401"),
        (b"userId=u1", b"userId=%20", b"422"),
        (b"Host: x", b"Host: x\r\nX-User-Id: u2", b"403"),
        (b"Version: 13", b"Version: 8", b"422"),
        (b"Host: x", b"Host : x", b"400"),
        (b"/ws?", b"/wsx?", b"404"),
    ],
)
async def test_what_is_refused_is_refused_by_aiohttp(
    realtime: Realtime, changed: bytes, by: bytes, status: bytes
) -> None:
    answer = await talk(realtime, HANDSHAKE.replace(changed, by))
    assert answer[:5] == b"HTTP/"
    assert answer.split(b" ")[1] == status


@pytest.mark.parametrize("query", [b"userId=u1&room=c", b"userId=u1&userId=u1"])
async def test_handshake_with_another_query_is_given_to_aiohttp(
    realtime: Realtime, query: bytes
) -> None:
    before = answered_at_the_door()
    await talk(realtime, HANDSHAKE.replace(b"userId=u1", query))
    assert answered_at_the_door() == before


async def test_connection_that_says_nothing_is_closed(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "SILENT_SECONDS", 0.05)
    assert await talk(realtime, b"") == b""


@pytest.mark.parametrize("said", [b"GET /ws?us", b"GET /x HTTP/1.1\r\nHost: x\r\n\r\nGET /ws?us"])
async def test_half_a_request_is_waited_for_no_longer_than_a_connection_is_kept(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(door, "KEEP_ALIVE_SECONDS", 0.2)
    async with serve(settings, database) as realtime:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(realtime))
        writer.write(said)
        async with asyncio.timeout(30):
            await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_handshake_at_a_closed_entrance_ends_the_connection(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted, connection_made = asyncio.Event(), door.Door.connection_made

    def note(made: door.Door, transport: asyncio.BaseTransport) -> None:
        connection_made(made, transport)
        accepted.set()

    monkeypatch.setattr(door.Door, "connection_made", note)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(realtime))
    await asyncio.wait_for(accepted.wait(), 30)
    realtime.entrance.close()
    writer.write(HANDSHAKE)
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    assert not realtime.hub.connections
    writer.close()
    await writer.wait_closed()
