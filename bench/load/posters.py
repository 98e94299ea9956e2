"""Keep-alive HTTP connections that post messages."""

import asyncio
import re
from typing import Final, cast

from bench.load.tally import Tally, mark

CONTENT_LENGTH: Final = 120
_LENGTH: Final = re.compile(rb"(?i)content-length: *(\d+)")


class Poster(asyncio.Protocol):
    """One connection, one post at a time."""

    def __init__(
        self, port: int, number: int, sender: str, tally: Tally, length: int = CONTENT_LENGTH
    ) -> None:
        self.number = number
        self._length = length
        self._sender = sender
        self._port = port
        self._tally = tally
        self._data = b""
        self._answered: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    async def connect(self) -> None:
        """Connect."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", self._port)

    async def post(self, channel: int, channel_id: str) -> bool:
        """Post a message; return whether it was accepted. A lost connection is made anew before."""
        if self._transport is None:
            try:
                await self.connect()
            except OSError:
                return False
        assert self._transport is not None
        message = self._tally.send(channel, self.number)
        content = mark(message).ljust(self._length, "x")
        body = (
            f'{{"content":"{content}","channelId":"{channel_id}",'
            f'"senderId":"{self._sender}","senderName":"Ann"}}'
        )
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(
            f"POST /api/messages HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        status = await self._answered
        self._tally.answer(message, is_accepted=status == 201)
        return status == 201

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its type.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._data + data
        head, separator, body = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if separator else None
        if length is None or len(body) < int(length[1]):
            self._data = data
            return
        self._data = b""
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(int(data[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self._data = None, b""
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(0)
