"""What Redis publishes, on its way to a gateway's clients.

Fan-out awaits nothing. What was published is checked against its stream's sequence, given to the
followers' outboxes and written, all within a turn of the event loop; whatever has to wait (a hole
to be filled, a connection that is lost) waits by itself and holds up nobody else.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING

from prometheus_client import Counter

from app.outages import Outage
from web.fan_out.frames import Batch, encode, owner_of
from web.fan_out.stream import Stream

if TYPE_CHECKING:
    from web.fan_out.hub import Hub

log = logging.getLogger(__name__)

_events = Counter("hubbub_events_total", "Events given to a stream's followers, once a stream.")
_deliveries = Counter("hubbub_deliveries_total", "Events given to clients, once a client.")
_malformed = Counter("hubbub_malformed_payloads_total", "Published payloads that are no events.")


class Feed:
    """The listener of a gateway's subscriber; `streams` are those of its hub, by channel."""

    def __init__(self, hub: "Hub", streams: Mapping[bytes, Stream]) -> None:
        self._hub = hub
        self._streams = streams
        self._touched: list[Stream] = []
        self._catching_up: asyncio.Task[None] | None = None
        # While what is published may not be heard: until when everything was.
        self._current_until_ms: int | None = _now_ms()

    def receive(self, channel: bytes, payload: bytes) -> None:
        """Check a published payload against its stream's sequence."""
        stream = self._streams.get(channel)
        if stream is None:
            return
        if payload.startswith(b"{"):
            self._deliver_ephemeral(stream, payload)
            return
        try:
            header, _, body = payload.partition(b"\n")
            epoch, first_seq = header.split(b" ")
            fresh = stream.accept(epoch.decode(), int(first_seq), body.split(b"\n"))
        except ValueError:
            _malformed.inc()
            log.warning("malformed_payload", extra={"stream": stream.key.name})
            return
        if fresh:
            if not stream.arrived:
                self._touched.append(stream)
            stream.arrived += fresh
        elif stream.is_behind and stream.epoch:
            self._hub.mender.mend(stream)

    def end_read(self) -> None:
        """Give out what one read brought: of each stream all at once, in one batch."""
        touched, self._touched = self._touched, []
        for stream in touched:
            self._deliver_arrived(stream)

    def _deliver_arrived(self, stream: Stream) -> None:
        arrived, stream.arrived = stream.arrived, []
        if arrived:
            stream.moved_tick = self._hub.sweep.tick
            self.deliver(stream, Batch(arrived))

    def deliver(self, stream: Stream, batch: Batch) -> None:
        """Give events to all who follow a stream."""
        for connection in stream.followers:
            connection.deliver(stream, batch)
        _events.inc(len(batch))
        _deliveries.inc(len(batch) * len(stream.followers))

    def _deliver_ephemeral(self, stream: Stream, payload: bytes) -> None:
        self._deliver_arrived(stream)
        stream.unlogged += 1
        batch = Batch([payload], is_ephemeral=True)
        # What is told of presence follows the list that `joined` carried, whatever is replayed.
        for connection in chain(stream.followers, stream.replaying):
            if not connection.is_crowded:
                connection.deliver(stream, batch)

    def lose(self) -> None:
        """The subscriber's connection is lost: followers wait."""
        self._current_until_ms = self._current_until_ms or _now_ms()

    def regain(self) -> None:
        """The subscriber is back: what was not heard meanwhile is looked for, of every stream."""
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._catching_up = self._hub.run(self._catch_up())

    async def _catch_up(self) -> None:
        while True:
            streams = tuple(self._streams.values())
            try:
                await self._hub.mender.check(streams)
            except Outage:
                await asyncio.sleep(0.25)
                continue
            break
        mending = [stream.mending for stream in streams if stream.mending is not None]
        if mending:
            await asyncio.wait(mending)
        if self._hub.is_connected:
            self._current_until_ms = None

    @property
    def is_catching_up(self) -> bool:
        """Whether something may have been published that was not heard here."""
        return self._current_until_ms is not None

    @property
    def current_ms(self) -> int:
        """The time up to which everything that was published is known here, Unix milliseconds."""
        return self._current_until_ms or _now_ms()

    def resync_payload(self, stream: Stream) -> bytes:
        """What tells followers to reload a stream, and to go on from where it is now."""
        cursor = stream.position.cursor(self.current_ms)
        return encode("resync", **owner_of(stream.key), cursor=cursor)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
