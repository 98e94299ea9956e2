"""A gateway's one pub/sub connection to Redis: a small protocol around hiredis.

It only carries: what it drops (a lost connection, a full buffer in Redis) is found again by
sequence numbers, so all it owes its listener is to say when it was away.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, cast

import hiredis
from prometheus_client import Counter

from app.errors import Unavailable

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 2.0
PING_SECONDS: Final = 2.0
"""A Redis that has said nothing for so long after a ping is taken for lost."""
LONGEST_PAUSE_SECONDS: Final = 1.0
CHANNELS_A_COMMAND: Final = 500

_losses = Counter("hubbub_subscriber_losses_total", "Lost pub/sub connections to Redis.")


class Listener(Protocol):
    """Whom a subscriber tells what it hears. All of it happens in the event loop, in order."""

    def receive(self, channel: bytes, payload: bytes) -> None:
        """Something was published."""

    def end_read(self) -> None:
        """All that one read from the socket brought has been received."""

    def lose(self) -> None:
        """The connection is lost: what is published from now on is not heard."""

    def regain(self) -> None:
        """Every wanted channel is subscribed again."""


class Subscriber:
    """Keeps a connection subscribed to the wanted channels, and opens another when it is lost."""

    def __init__(self, host: str, port: int, listener: Listener) -> None:
        self._host = host
        self._port = port
        self._listener = listener
        self._wanted: set[bytes] = set()
        # Redis answers in order: each waits until so many subscriptions have been confirmed.
        self._confirming: deque[tuple[int, Sequence[bytes], asyncio.Future[None]]] = deque()
        self._asked = self._confirmed = 0
        self._connection: _Connection | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._commands: list[tuple[bytes, bytes]] = []
        self.is_connected = False

    async def start(self) -> None:
        """Connect in the background; return when it has been tried once."""
        tried = asyncio.Event()
        self._keeping = asyncio.create_task(self._keep(tried))
        await tried.wait()

    async def stop(self) -> None:
        """Close the connection."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
            self._keeping = None

    async def subscribe(self, channels: Sequence[bytes]) -> None:
        """Return when Redis has confirmed that everything from now on will be heard.

        Raises:
            Unavailable: there is no connection, or it was lost meanwhile.
        """
        if not self.is_connected:
            raise Unavailable("redis")
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked += len(channels)
        self._confirming.append((self._asked, channels, confirmed))
        self._wanted.update(channels)
        self._command(b"SUBSCRIBE", channels)
        await confirmed

    def unsubscribe(self, channel: bytes) -> None:
        """Hear no more of a channel."""
        self._wanted.discard(channel)
        if self.is_connected:
            self._command(b"UNSUBSCRIBE", (channel,))

    def _command(self, verb: bytes, channels: Iterable[bytes]) -> None:
        if not self._commands:
            asyncio.get_running_loop().call_soon(self._send_commands)
        self._commands += [(verb, channel) for channel in channels]

    def _send_commands(self) -> None:
        commands, self._commands = self._commands, []
        if self._connection is None:
            return
        channels: list[bytes] = []
        for index, (verb, channel) in enumerate(commands):
            channels.append(channel)
            following = commands[index + 1][0] if index + 1 < len(commands) else None
            if following != verb or len(channels) == CHANNELS_A_COMMAND:
                self._connection.send(verb, channels)
                channels = []

    async def _keep(self, tried: asyncio.Event) -> None:
        pause = 0.05
        while True:
            connection = _Connection(self._listener, self._confirm)
            try:
                await self._connect(connection)
            except (OSError, TimeoutError) as error:
                log.warning("subscriber_not_connected", extra={"error": type(error).__name__})
                tried.set()
                await asyncio.sleep(pause * (0.5 + random.random() / 2))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            tried.set()
            pause = 0.05
            try:
                await connection.watch()
            finally:
                connection.abort()
                self._lose()

    async def _connect(self, connection: "_Connection") -> None:
        try:
            await self._open(connection)
        except BaseException:
            connection.abort()
            raise

    async def _open(self, connection: "_Connection") -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            await loop.create_connection(lambda: connection, self._host, self._port)
            # A server that is still loading its data accepts connections and answers with errors.
            await connection.ask_ready()
        self._connection = connection
        missing = list(self._wanted)
        for start in range(0, len(missing), CHANNELS_A_COMMAND):
            connection.send(b"SUBSCRIBE", missing[start : start + CHANNELS_A_COMMAND])
        async with asyncio.timeout(CONNECT_SECONDS + len(missing) / 5000):
            # Redis answers in order: after its pong every subscription is in force.
            await connection.ask_ready()
        self._asked = self._confirmed = 0
        self.is_connected = True
        log.info("subscriber_connected", extra={"channels": len(missing)})
        self._listener.regain()

    def _confirm(self) -> None:
        self._confirmed += 1
        while self._confirming and self._confirming[0][0] <= self._confirmed:
            _, _, confirmed = self._confirming.popleft()
            if not confirmed.done():
                confirmed.set_result(None)

    def _lose(self) -> None:
        self._connection = None
        self._commands.clear()
        self.is_connected = False
        confirming, self._confirming = self._confirming, deque()
        for _, channels, confirmed in confirming:
            self._wanted.difference_update(channels)
            if not confirmed.done():
                confirmed.set_exception(Unavailable("redis"))
                confirmed.exception()  # Nobody may be waiting any more.
        _losses.inc()
        log.warning("subscriber_lost")
        self._listener.lose()


class _Connection(asyncio.Protocol):
    """One TCP connection that speaks RESP2."""

    def __init__(self, listener: Listener, confirm: Callable[[], None]) -> None:
        self._listener = listener
        self._confirm = confirm
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._ready: asyncio.Future[None] | None = None
        self._is_silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ConnectionError("Redis closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._is_silent = False
        self._reader.feed(data)
        gets, receive = self._reader.gets, self._listener.receive
        try:
            while (reply := gets()) is not False:
                if type(reply) is list and len(reply) == 3 and reply[0] == b"message":
                    receive(reply[1], reply[2])
                else:
                    self._answer(reply)
        except hiredis.ProtocolError:
            log.warning("subscriber_heard_nonsense")
            self.abort()
        self._listener.end_read()

    def _answer(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            if self._ready is not None and not self._ready.done():
                self._ready.set_exception(ConnectionError("Redis is not ready"))
            else:
                self.abort()
        elif reply == b"PONG" or reply[0] == b"pong":
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
        elif reply[0] == b"subscribe":
            self._confirm()

    def send(self, verb: bytes, arguments: Iterable[bytes] = ()) -> None:
        """Send one command."""
        if self._transport is not None and not self._transport.is_closing():
            # hiredis' stub asks for a tuple of one.
            command = hiredis.pack_command((verb, *arguments))  # type: ignore[arg-type]
            self._transport.write(command)

    async def ask_ready(self) -> None:
        """Return when Redis has answered a ping, and so everything that was sent before it.

        Raises:
            OSError: the connection was lost, or Redis is loading its data.
        """
        self._ready = asyncio.get_running_loop().create_future()
        self.send(b"PING")
        await self._ready

    async def watch(self) -> None:
        """Return when the connection is lost, or Redis is silent although it was pinged."""
        while True:
            self._is_silent = True
            self.send(b"PING")
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self._lost.wait()
            except TimeoutError:
                if not self._is_silent:
                    continue
                log.warning("redis_is_silent")
            return

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
