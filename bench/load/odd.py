"""One client beside the others, in a channel of its own that is flooded: it reads, or it stalls."""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from bench.load.dialects import Dialect
from bench.load.posters import Poster
from bench.load.tally import Tally

FLOODERS: Final = 8
FLOOD_LENGTH: Final = 4000
FLOOD_SECONDS: Final = 0.08
"""Between two posts of one flooder: 100 a second in all, 400 KB."""
_KEY: Final = "MDEyMzQ1Njc4OWFiY2RlZg=="


class Odd:
    """Its socket is a distant client's: small segments, and if it stalls a small window, so that
    what it does not read stays with the gateway and not with the kernel."""

    def __init__(self, port: int, dialect: Dialect, channel_id: str, *, is_stalled: bool) -> None:
        self._port = port
        self._dialect = dialect
        self._channel_id = channel_id
        self._is_stalled = is_stalled
        self._socket = socket.socket()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        if is_stalled:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        self._tasks: list[asyncio.Task[None]] = []
        self._posters = [Poster(port, n, "flood", Tally(), FLOOD_LENGTH) for n in range(FLOODERS)]

    async def connect(self) -> None:
        """Connect and join; from then on a stalled one reads nothing."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        request = (
            f"GET {self._dialect.path('odd')} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {_KEY}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        await loop.sock_sendall(self._socket, request.encode())
        await loop.sock_sendall(self._socket, self._dialect.join(self._channel_id, ""))
        seen = b""
        while self._dialect.joined_mark not in seen:
            seen += await loop.sock_recv(self._socket, 4096)
        if not self._is_stalled:
            self._tasks.append(asyncio.create_task(self._read()))
        for poster in self._posters:
            await poster.connect()

    def flood(self) -> None:
        """Begin to fill its channel."""
        self._tasks += [asyncio.create_task(self._post_on(poster)) for poster in self._posters]

    async def _post_on(self, poster: Poster) -> None:
        due = asyncio.get_running_loop().time()
        while True:
            await poster.post(0, self._channel_id)
            due += FLOOD_SECONDS
            await asyncio.sleep(due - asyncio.get_running_loop().time())

    async def _read(self) -> None:
        while await asyncio.get_running_loop().sock_recv(self._socket, 1 << 16):
            pass

    async def close(self) -> bool:
        """End it; return whether the gateway had cut it off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for poster in self._posters:
            poster.close()
        is_cut_off = False
        if self._is_stalled:
            with suppress(TimeoutError, ConnectionError):
                await asyncio.wait_for(self._read(), 1)
                is_cut_off = True
        self._socket.close()
        return is_cut_off
