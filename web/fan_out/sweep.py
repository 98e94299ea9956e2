"""What a hub does once a second for all at once, instead of a timer for each.

A timer or a task for every connection would cost more memory than the connection.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from app.errors import Unavailable
from app.keys import user_stream
from app.outages import Outage
from web.fan_out.connection import Connection
from web.fan_out.frames import Batch

if TYPE_CHECKING:
    from web.fan_out.hub import Hub

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 25
CHECK_SECONDS: Final = 10
GOING_AWAY: Final = 1001
LINGER_SECONDS: Final = 5
"""A stream that nobody follows stays subscribed so long: clients come back."""


class Sweep:
    """Pings, looks after streams that brought nothing, and retires those nobody follows."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self.tick = 0
        # A connection is pinged when its slot comes round, so that pings spread over time.
        self._wheel: list[set[Connection]] = [set() for _ in range(HEARTBEAT_SECONDS)]
        self._orphans: set[Connection] = set()
        self._asking: asyncio.Task[None] | None = None

    def add(self, connection: Connection) -> None:
        """Ping a connection from now on."""
        connection.wheel_slot = self.tick % HEARTBEAT_SECONDS
        self._wheel[connection.wheel_slot].add(connection)

    def discard(self, connection: Connection) -> None:
        """Ping a connection no more."""
        self._wheel[connection.wheel_slot].discard(connection)
        self._orphans.discard(connection)

    def add_orphan(self, connection: Connection) -> None:
        """Join a connection's own stream when Redis is back."""
        self._orphans.add(connection)

    async def run(self) -> None:
        """Sweep once a second, for ever."""
        while True:
            await asyncio.sleep(1)
            self.tick += 1
            self._ping()
            self._hub.pages.forget()
            self._hub.history.forget()
            self._retire()
            self._end_gone()
            # Redis may take its time; pings must not.
            if self._asking is None or self._asking.done():
                self._asking = self._hub.run(self._ask_redis())

    def _ping(self) -> None:
        for connection in tuple(self._wheel[self.tick % HEARTBEAT_SECONDS]):
            if connection.is_alive:
                connection.is_alive = False
                connection.ping()
            else:
                log.info("silent_connection_dropped", extra={"connection": connection.id})
                connection.transport.abort()
                self._hub.disconnect(connection)

    def _retire(self) -> None:
        until = self.tick - LINGER_SECONDS
        for stream in [
            stream
            for stream in self._hub.streams
            if not stream.joined and stream.deserted_tick <= until and stream.opening is None
        ]:
            self._hub.retire(stream)

    def _end_gone(self) -> None:
        # An SSE client says nothing, and so no read ends when it is gone.
        for connection in [c for c in self._hub.connections if c.transport.is_closing()]:
            connection.shut(GOING_AWAY)

    async def _adopt(self, connection: Connection) -> None:
        try:
            own = await self._hub.join(user_stream(connection.user.id))
        except Unavailable:
            return
        if connection.is_closed:
            self._hub.release(own)
            return
        self._orphans.discard(connection)
        connection.own = own
        connection.deliver(own, Batch([self._hub.feed.resync_payload(own)]))
        self._hub.attach(own, connection)

    async def _ask_redis(self) -> None:
        await self._check()
        await asyncio.gather(*map(self._adopt, tuple(self._orphans)))

    async def _check(self) -> None:
        until = self.tick - CHECK_SECONDS
        quiet = [stream for stream in self._hub.streams if stream.moved_tick <= until]
        for stream in quiet:
            stream.moved_tick = self.tick
        try:
            await self._hub.mender.check(quiet)
        except Outage:
            # Nobody waits for it; when Redis is back, all streams are compared.
            log.info("position_check_failed", extra={"streams": len(quiet)})
