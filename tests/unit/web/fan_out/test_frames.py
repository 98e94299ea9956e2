"""Frames, checked by aiohttp's own reader."""

import asyncio
from typing import Any

import pytest
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from aiohttp.base_protocol import BaseProtocol

from app.stream_log.cursor import Position
from web.fan_out.cursor import pack_position
from web.fan_out.frames import WS_PING, Batch, encode, sse_event, ws_close, ws_pong, ws_text


async def read(data: bytes) -> list[Any]:
    loop = asyncio.get_running_loop()
    queue = WebSocketDataQueue(BaseProtocol(loop), 2**20, loop=loop)
    reader = WebSocketReader(queue, 0, compress=False, decode_text=True)
    reader.feed_data(data)
    return [await queue.read() for _ in range(len(queue._buffer))]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
async def test_text_frame_of_any_size_is_read_as_it_was(size: int) -> None:
    text = "x" * size
    (message,) = await read(ws_text(text.encode()))
    assert message.data == text


async def test_batch_is_its_frames_one_after_another() -> None:
    payloads = [encode("message", seq=seq) for seq in range(3)]
    assert [message.data.encode() for message in await read(Batch(payloads).ws)] == payloads


async def test_control_frames_are_read_as_they_are() -> None:
    ping, pong, close = await read(WS_PING + ws_pong(b"abc") + ws_close(4010, "gone"))
    assert (ping.data, pong.data, close.data, close.extra) == (b"", b"abc", 4010, "gone")


def test_sse_event_is_named_by_its_type() -> None:
    payload = encode("typing", channelId="c")
    assert sse_event(payload) == b"event: typing\ndata: " + payload + b"\n\n"


def test_batch_as_sse_knows_where_each_event_stands() -> None:
    payload = b'{"type":"message","channelId":"c","seq":3,"cursor":"0000000a.3.2.1","data":{}}'
    ((place, event),) = Batch([payload]).sse
    assert place == pack_position(Position("0000000a", 3, 2))
    assert event == sse_event(payload)


def test_batch_of_no_log_stands_nowhere() -> None:
    ((place, _),) = Batch([encode("typing", channelId="c")], is_ephemeral=True).sse
    assert place == b""
