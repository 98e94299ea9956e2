"""What a new connection speaks to until its first bytes have said what it is.

A handshake as clients send it is answered here. aiohttp gives a connection a task, a timer, a
request, a walk through the routes and the middlewares: more than all the rest of what the beginning
of a WebSocket costs, and thousands may come at once. Whatever is not plainly a handshake that is to
be accepted is aiohttp's, from its first byte on: another request, and every refusal.
"""

import asyncio
from functools import partial
from typing import Final, cast

from aiohttp import web

from app.errors import RequestError
from web.deps import Gateway
from web.identity import user_of
from web.middlewares import count_request
from web.origins import is_welcome
from web.transports.handshake import accept, read_handshake, switch
from web.transports.http import HttpConnection
from web.transports.ws import WsConnection

BACKLOG: Final = 4096
"""Connections that wait to be accepted: a deploy's worth of clients comes back in seconds."""

LINE_BYTES: Final = 16 * 1024
"""A Last-Event-ID for 100 channels is longer than aiohttp's default of 8,190."""

SILENT_SECONDS: Final = 30.0
"""Who has said nothing for so long is sent away."""

KEEP_ALIVE_SECONDS: Final = 75.0
"""So long a connection waits for the end of a request's head, the next one's too: a little longer
than proxies keep theirs, since who closes first must be the one who asks."""

PATH: Final = "/ws"
_BEGINNINGS: Final = (f"GET {PATH}?".encode(), f"GET {PATH} ".encode())


def create_runner(application: web.Application, shutdown_timeout: float) -> web.AppRunner:
    """Return aiohttp's side of an entrance, as yet not set up; the time is seconds."""
    return web.AppRunner(
        application,
        access_log=None,
        max_line_size=LINE_BYTES,
        max_field_size=LINE_BYTES,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        shutdown_timeout=shutdown_timeout,
    )


class Entrance:
    """Where a gateway listens; `runner` is aiohttp's, and has been set up when this opens."""

    def __init__(self, gateway: Gateway, runner: web.AppRunner) -> None:
        self.gateway = gateway
        self._runner = runner
        self.is_open = False
        self._listening: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Let clients in, at a free port if `port` is 0; return the port.

        Raises:
            OSError: the port is taken, or not allowed.
        """
        loop = asyncio.get_running_loop()
        door = partial(Door, self)
        self._listening = await loop.create_server(door, host, port, backlog=BACKLOG)
        self.is_open = True
        return int(self._listening.sockets[0].getsockname()[1])

    def make_handler(self) -> asyncio.Protocol:
        """Return a protocol of aiohttp's for a connection."""
        server = cast(web.Server, self._runner.server)
        # As the server itself makes them, of its own class.
        return HttpConnection(server, loop=asyncio.get_running_loop(), **server._kwargs)

    def close(self) -> None:
        """Let nobody in any more; connections that are in stay."""
        self.is_open = False
        if self._listening is not None:
            self._listening.close()


class Door(asyncio.Protocol):
    """The protocol of a connection that has said nothing yet."""

    __slots__ = ("_entrance", "_silence", "_transport")

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._transport: asyncio.Transport
        self._silence: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        loop = asyncio.get_running_loop()
        self._silence = loop.call_later(SILENT_SECONDS, self._transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._silence.cancel()

    def data_received(self, data: bytes) -> None:
        self._silence.cancel()
        if not self._entrance.is_open:
            # Whoever is not in yet when the gateway begins to stop goes to another one.
            self._transport.close()
        elif not (data.startswith(_BEGINNINGS) and self._upgrade(data)):
            self._give_to_aiohttp(data)

    def _upgrade(self, data: bytes) -> bool:
        """Take in whoever sent a handshake that is to be accepted; return whether it was one."""
        read = read_handshake(data, LINE_BYTES)
        if read is None:
            return False
        handshake, tail = read
        gateway = self._entrance.gateway
        if not is_welcome(handshake.headers, gateway.settings.allowed_origins):
            return False
        try:
            user, accepted = user_of(handshake), accept(handshake)
        except RequestError:
            return False
        connection = WsConnection(self._transport, gateway, user)
        self._transport.write(switch(accepted))
        self._transport.set_protocol(connection)
        connection.start()
        count_request("GET", PATH, 101)
        if tail:
            connection.data_received(tail)
        return True

    def _give_to_aiohttp(self, data: bytes) -> None:
        handler = self._entrance.make_handler()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(data)
