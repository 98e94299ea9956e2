"""WebSocket clients, as cheap as they can be: a protocol on a socket, no library in between."""

import asyncio
import base64
import re
import time
from typing import Final, cast

from bench.load.dialects import Dialect
from bench.load.tally import Reader, Tally, unfinished

CONNECTING: Final = 128
"""Connections that are being made at a time."""
CONNECT_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 0.5
SAMPLED: Final = 40
"""Of so many clients, spread evenly, every delivery is timed; of all it is checked."""
_CURSOR: Final = re.compile(rb'"channelId":"[^"]*",(?:"seq":\d+,)?"cursor":"([^"]+)"')
_KEY: Final = base64.b64encode(b"0123456789abcdef").decode()


class Subscriber(asyncio.Protocol):
    """One client in one channel."""

    def __init__(
        self, crowd: "Subscribers", number: int, channel: int, *, is_sampled: bool
    ) -> None:
        self._crowd = crowd
        self._user = f"load-{number}"
        self.channel = channel
        self.chunks: list[list[bytes]] = []
        self.timed: list[tuple[float, list[bytes]]] | None = [] if is_sampled else None
        self.is_joined = False
        self.is_lost = False
        self._begun = b""
        self._step = 0
        self._tail = b""
        self._last = b""
        self._cursor = ""
        self._joined: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    async def connect(self) -> None:
        """Connect and join; return when the join is answered.

        Raises:
            OSError, TimeoutError: the server does not take it.
        """
        loop = asyncio.get_running_loop()
        self._begun, self._step, self._tail, self.is_lost = b"", 0, b"", False
        self._joined = loop.create_future()
        await loop.create_connection(lambda: self, "127.0.0.1", self._crowd.port)
        await asyncio.wait_for(self._joined, CONNECT_SECONDS)

    def drop(self) -> None:
        """Cut the connection, as a lost network does; remember the place in the stream."""
        self.is_joined = False
        if found := _CURSOR.findall(self._last):
            self._cursor = found[-1].decode()
        if self._transport is not None:
            self._transport.abort()

    async def come_back(self) -> None:
        """Connect and join again from where it was; `is_lost` says whether that failed."""
        self.drop()
        try:
            await self.connect()
        except (OSError, TimeoutError):
            self.is_lost = True

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its type.
        self._transport = cast(asyncio.Transport, transport)
        path = self._crowd.dialect.path(self._user)
        self._transport.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._crowd.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {_KEY}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if not self.is_joined:
            self._set_up(data)
            return
        if self._tail:
            data = self._tail + data
        self._tail = unfinished(data)
        found = self._crowd.reader.find(data)
        if found:
            self._last = data
            now = time.perf_counter()
            self.chunks.append(found)
            if self.timed is not None:
                self.timed.append((now, found))
            self._crowd.tally.arrive(len(found), now)
        if data.endswith(self._crowd.dialect.ping):
            self._write(self._crowd.dialect.pong)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._joined is not None and not self._joined.done():
            self._joined.set_exception(exc or ConnectionResetError("closed before the join"))

    def _set_up(self, data: bytes) -> None:
        dialect = self._crowd.dialect
        self._begun += data
        if self._step == 0 and b"\r\n\r\n" in self._begun:
            if b" 101 " not in self._begun[:16]:
                self._fail(self._begun)
                return
            self._begun = self._begun.partition(b"\r\n\r\n")[2]
            self._step = 1
        if self._step == 1:
            if words := dialect.greet(self._begun):
                self._write(words)
            elif dialect.is_greeted(self._begun):
                self._step = 2
                self._join()
        if self._step == 2 and dialect.refused_mark in self._begun:
            # What overloads a server passes; a client comes again, as the answer says.
            self._crowd.refusals += 1
            self._begun = b""
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._join)
        elif self._step == 2 and dialect.joined_mark in self._begun:
            at = self._begun.index(dialect.joined_mark)
            self.is_joined = True
            if self._joined is not None and not self._joined.done():
                self._joined.set_result(None)
            self._last, self._begun = self._begun[at:], b""
            self.data_received(self._last)

    def _join(self) -> None:
        self._write(self._crowd.dialect.join(self._crowd.name(self.channel), self._cursor))

    def _fail(self, answer: bytes) -> None:
        if self._joined is not None and not self._joined.done():
            self._joined.set_exception(ConnectionError(answer[:200].decode(errors="replace")))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


class Subscribers:
    """All clients of a run, spread over its channels."""

    def __init__(
        self, port: int, dialect: Dialect, tally: Tally, *, count: int, channels: int, prefix: str
    ) -> None:
        self.port = port
        self.dialect = dialect
        self.tally = tally
        self.reader = Reader()
        self.refusals = 0
        """Joins that were not taken at once."""
        self._prefix = prefix
        every = max(1, count // SAMPLED)
        self.all = [
            Subscriber(self, number, number % channels, is_sampled=number % every == 0)
            for number in range(count)
        ]

    def name(self, channel: int) -> str:
        """The id of a channel."""
        return f"{self._prefix}-{channel}"

    async def connect(self) -> None:
        """Connect all of them, 128 at a time."""
        waiting = iter(self.all)

        async def work() -> None:
            for subscriber in waiting:
                await subscriber.connect()

        await asyncio.gather(*(work() for _ in range(CONNECTING)))

    @property
    def lost_connections(self) -> int:
        """Clients that the server has cut off."""
        return sum(subscriber.is_lost for subscriber in self.all)

    def close(self) -> None:
        """Cut all connections."""
        for subscriber in self.all:
            subscriber.drop()
