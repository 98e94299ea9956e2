"""A server that does nothing but echo: what is posted goes to all clients of the channel at once.

It speaks Hubbub's protocol as far as the load client does, and is as fast as a Python process can
be: what the client reaches against it is the client's limit.
"""

import asyncio
import os
import re
from collections import defaultdict
from typing import Final, cast

import uvloop

_CHANNEL: Final = re.compile(rb'"channelId":"([^"]+)"')
_CONTENT: Final = re.compile(rb'"content":"([^"]+)"')
_UPGRADE: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
)
_FILLER: Final = b"x" * 280
"""A message of Hubbub's is so much longer than its content."""

transports: defaultdict[bytes, set[asyncio.Transport]] = defaultdict(set)
queued: defaultdict[bytes, list[bytes]] = defaultdict(list)


def frame(payload: bytes) -> bytes:
    """A text frame of 126 bytes or more."""
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


def flush() -> None:
    """Give every client all that was posted in this turn of the loop."""
    for channel, frames in queued.items():
        data = b"".join(frames)
        for transport in transports[channel]:
            transport.write(data)
    queued.clear()


class Echo(asyncio.Protocol):
    """One connection: HTTP posts or a WebSocket."""

    def __init__(self) -> None:
        self._channel = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its type.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"POST"):
            self._post(data)
        elif data.startswith(b"GET /ws"):
            self._transport.write(_UPGRADE)
        elif data.startswith(b"GET"):
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        elif not self._channel and (found := _CHANNEL.search(data)):
            self._channel = found[1]
            transports[self._channel].add(self._transport)
            self._transport.write(frame(b'{"type":"joined"' + _FILLER + b"}"))

    def connection_lost(self, exc: Exception | None) -> None:
        transports[self._channel].discard(self._transport)

    def _post(self, data: bytes) -> None:
        channel, content = _CHANNEL.search(data), _CONTENT.search(data)
        assert channel is not None and content is not None
        if not queued:
            asyncio.get_running_loop().call_soon(flush)
        queued[channel[1]].append(frame(b'{"type":"message",' + content[1] + _FILLER + b"}"))
        self._transport.write(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")


async def serve() -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", int(os.environ["PORT"]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
