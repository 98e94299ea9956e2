"""Holes in what a gateway heard: found by sequence or by comparison, filled from the log.

Pub/sub is the fast path, never the guarantee: an event may be dropped, the last one before a long
silence too, and a restarted Redis may know less than its clients.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

from app.errors import Unavailable
from app.outages import Outage
from app.stream_log.log import READ_COUNT, StreamLog
from web.fan_out.frames import Batch
from web.fan_out.stream import Stream

if TYPE_CHECKING:
    from web.fan_out.hub import Hub

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 3.0
STREAMS_A_CHECK: Final = 200
_PAUSE_SECONDS: Final = 0.25

_filled = Counter("hubbub_holes_filled_total", "Holes in streams that were filled from the log.")
_resyncs = Counter("hubbub_resyncs_total", "Streams whose followers were told to reload.")


class Mender:
    """Brings streams to where Redis says they are."""

    def __init__(self, hub: "Hub", stream_log: StreamLog) -> None:
        self._hub = hub
        self._log = stream_log

    def mend(self, stream: Stream) -> None:
        """Fill a stream's hole; meanwhile nothing later of it goes out."""
        if stream.mending is None:
            stream.mending = self._hub.run(self._mend(stream))

    async def _mend(self, stream: Stream) -> None:
        try:
            while True:
                try:
                    reached = await self._step(stream)
                except Outage:
                    # Redis is away: followers wait, and are made whole when it is back.
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                if reached and not stream.is_behind:
                    return
        finally:
            stream.mending = None

    async def _step(self, stream: Stream) -> bool:
        """Give out one page of what is missing; return whether that was all of the log."""
        stream.heard = None
        payloads = await self._log.read(stream.key, stream.epoch, stream.seq)
        if payloads is None:
            position = await self._log.position(stream.key)
            if position.epoch != stream.epoch or position.seq != stream.seq:
                stream.place(position)
                _resyncs.inc()
                log.info("stream_resynced", extra={"stream": stream.key.name})
                self._hub.feed.deliver(stream, Batch([self._hub.feed.resync_payload(stream)]))
            return True
        if payloads:
            _filled.inc()
            self._hub.feed.deliver(stream, Batch(stream.advance(payloads)))
        return len(payloads) < READ_COUNT

    async def check(self, streams: Sequence[Stream]) -> None:
        """Compare streams with Redis, and mend those that differ.

        Raises:
            redis.RedisError: Redis does not answer.
        """
        for start in range(0, len(streams), STREAMS_A_CHECK):
            part = [stream for stream in streams[start : start + STREAMS_A_CHECK] if stream.epoch]
            asked_at = [stream.position for stream in part]
            found = await self._log.positions([stream.key for stream in part])
            for stream, before, position in zip(part, asked_at, found, strict=True):
                if stream.epoch != before.epoch:
                    continue  # Moved by a mend while Redis was asked.
                went_back = position is not None and position.seq < before.seq
                if position is None or went_back or not stream.reaches(position):
                    self.mend(stream)

    async def refresh(self, stream: Stream) -> None:
        """Return when followers have everything that Redis has now.

        Raises:
            Unavailable: Redis does not answer.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if stream.mending is None:
                    await self.check([stream])
                if stream.mending is not None:
                    await asyncio.shield(stream.mending)
        except Outage:
            raise Unavailable("redis") from None
