"""The hub: every stream and every connection of a gateway, and who follows what."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from functools import cache
from typing import Any, Final

from prometheus_client import Counter, Gauge

from app.archive.history import History
from app.errors import Unavailable
from app.keys import StreamKey
from app.settings import Settings
from app.stream_log.log import StreamLog
from web.fan_out.connection import Connection
from web.fan_out.feed import Feed
from web.fan_out.frames import encode
from web.fan_out.mending import Mender
from web.fan_out.opening import Opener
from web.fan_out.outbox import Flusher
from web.fan_out.pages import HistoryPages, LogPages
from web.fan_out.stream import Stream
from web.fan_out.subscriber import Subscriber
from web.fan_out.sweep import Sweep

log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 3.0
SLOW_CONSUMER: Final = 4009
SHUTTING_DOWN: Final = 4010


_connections = Gauge("hubbub_connections", "Clients connected to this gateway.", ["transport"])
_streams = Gauge("hubbub_streams", "Streams that this gateway is subscribed to.")
_slow = Counter("hubbub_slow_consumers_total", "Clients dropped because they did not keep up.")


@cache
def _gauge_of(transport_name: str) -> Gauge:
    # Finding a metric's child costs more than counting.
    return _connections.labels(transport_name)


class Hub:
    """One gateway's registry of streams and connections.

    A connection's life in a stream is `join` (subscribed, its place known), `attach` (live, from
    the turn in which it has all that came before) and `leave`: whoever wants to know who is in
    which channel of this gateway asks there.
    """

    def __init__(self, settings: Settings, stream_log: StreamLog, history: History) -> None:
        self._spread_ms = settings.reconnect_spread_ms
        self._streams: dict[bytes, Stream] = {}
        self._connections: set[Connection] = set()
        self._emptied = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.feed = Feed(self, self._streams)
        self._subscriber = Subscriber(settings.redis_host, settings.redis_port, self.feed)
        self._opener = Opener(self, stream_log, self._subscriber)
        self.flusher = Flusher(self.drop)
        self.pages = LogPages(stream_log)
        self.history = HistoryPages(history)
        self.mender = Mender(self, stream_log)
        self.sweep = Sweep(self)
        self.arrivals: list[Callable[[Connection], None]] = []
        """Called with every client that comes."""
        self.departures: list[Callable[[Connection], None]] = []
        """Called with every client that is gone, however it went."""

    async def start(self) -> None:
        """Connect to Redis, or go on trying; the sweep begins."""
        self.run(self.sweep.run())
        await self._subscriber.start()

    async def stop(self) -> None:
        """Stop everything; connections must have been drained before."""
        await self._subscriber.stop()
        running = tuple(self._tasks)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def drain(self) -> None:
        """Send every client away, each with a delay of its own; return within 3 s."""
        for connection in tuple(self._connections):
            connection.send(encode("reconnect", delayMs=random.randint(0, self._spread_ms)))
            connection.shut(SHUTTING_DOWN, "shutting down")
        if self._connections:
            self._emptied.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), DRAIN_SECONDS)
        for connection in tuple(self._connections):
            connection.transport.abort()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside everything else, at most until the hub stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background_task_failed", exc_info=error)

    # Connections

    @property
    def connections(self) -> Collection[Connection]:
        """Every client of this gateway."""
        return self._connections

    def connect(self, connection: Connection) -> None:
        """A client came."""
        self._connections.add(connection)
        self.sweep.add(connection)
        _gauge_of(connection.transport_name).inc()
        for arrived in self.arrivals:
            arrived(connection)

    def disconnect(self, connection: Connection) -> None:
        """A client is gone: it leaves every stream."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self.sweep.discard(connection)
        _gauge_of(connection.transport_name).dec()
        for departed in self.departures:
            departed(connection)
        connection.is_closed = True
        if not self._connections:
            self._emptied.set()
        for stream in connection.streams.values():
            self.leave(stream, connection)
        connection.streams.clear()
        if connection.own is not None:
            self.leave(connection.own, connection)
            connection.own = None

    def drop(self, connection: Connection) -> None:
        """A client does not keep up: it must not cost the others anything."""
        _slow.inc()
        log.info("slow_consumer_dropped", extra={"connection": connection.id})
        connection.shut(SLOW_CONSUMER, "slow consumer")
        self.disconnect(connection)

    # Streams

    @property
    def streams(self) -> Collection[Stream]:
        """Every stream that this gateway is subscribed to."""
        return self._streams.values()

    @property
    def is_connected(self) -> bool:
        """Whether what Redis publishes is heard now."""
        return self._subscriber.is_connected

    async def join(self, key: StreamKey) -> Stream:
        """Return the stream, subscribed and with a known place; `leave` or `release` must follow.

        Raises:
            Unavailable: Redis does not answer.
        """
        if not self.is_connected:
            raise Unavailable("redis")
        name = key.live.encode()
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(key)
            self._opener.open(stream)
            _streams.set(len(self._streams))
        stream.joined += 1
        if stream.opening is not None:
            opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            stream.opening.append(opened)
            try:
                await opened
            except asyncio.CancelledError:
                self.release(stream)
                raise
        if not stream.epoch:
            self.release(stream)
            raise Unavailable("redis")
        return stream

    def attach(self, stream: Stream, connection: Connection) -> None:
        """From now on every event of the stream goes to this client; it has all before."""
        stream.replaying.pop(connection, None)
        connection.end_replay(stream)
        if not connection.is_closed:
            stream.followers.add(connection)

    def leave(self, stream: Stream, connection: Connection) -> None:
        """No more of the stream to this client."""
        connection.replays.pop(stream, None)
        stream.replaying.pop(connection, None)
        connection.end_replay(stream)
        stream.followers.discard(connection)
        self.release(stream)

    def release(self, stream: Stream) -> None:
        """Take back a join that nothing came of."""
        stream.joined -= 1
        stream.deserted_tick = self.sweep.tick

    def retire(self, stream: Stream) -> None:
        """Nobody follows the stream: hear no more of it."""
        del self._streams[stream.name]
        if stream.mending is not None:
            stream.mending.cancel()
        self._subscriber.unsubscribe(stream.name)
        _streams.set(len(self._streams))
