"""Streams on their way to being heard: all that are asked for at once, in the same round trips.

After a deploy thousands of clients come at once, each with a stream of its own and its channels.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from app.errors import Unavailable
from app.keys import StreamKey
from app.outages import Outage
from app.stream_log.cursor import Position
from app.stream_log.log import StreamLog
from web.crowds import PAUSE_SECONDS
from web.fan_out.stream import Stream
from web.fan_out.subscriber import Subscriber

if TYPE_CHECKING:
    from web.fan_out.hub import Hub

OPEN_SECONDS: Final = 3.0
STREAMS_A_TRIP: Final = 200

Found = TypeVar("Found", bound=Position | None)


class Opener:
    """Subscribes to streams, and finds out where they stand."""

    def __init__(self, hub: "Hub", stream_log: StreamLog, subscriber: Subscriber) -> None:
        self._hub = hub
        self._log = stream_log
        self._subscriber = subscriber
        self._asked: list[Stream] = []
        self._next_at = 0.0

    def open(self, stream: Stream) -> None:
        """Open a stream; who is in its `opening` is told when that has come to an end."""
        stream.opening = []
        if not self._asked:
            asyncio.get_running_loop().call_at(self._next_at, self._begin)
        self._asked.append(stream)

    def _begin(self) -> None:
        self._next_at = asyncio.get_running_loop().time() + PAUSE_SECONDS
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), STREAMS_A_TRIP):
            self._hub.run(self._open(asked[start : start + STREAMS_A_TRIP]))

    async def _open(self, streams: Sequence[Stream]) -> None:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                # In this order: what is published after the position was read will be heard.
                await self._subscriber.subscribe([stream.name for stream in streams])
                new = self._place(streams, await _find(self._log.positions, streams))
                # Alone: only these have to wait for MongoDB.
                if new:
                    self._place(new, await _find(self._log.begin, new))
        except (Unavailable, *Outage):
            pass  # Whoever waits finds them closed.
        finally:
            for stream in streams:
                if stream.opening is not None:
                    self._hub.retire(stream)
                    _end(stream)

    def _place(
        self, streams: Sequence[Stream], positions: Sequence[Position | None]
    ) -> list[Stream]:
        """Open the streams whose position is known; return the others."""
        unknown = []
        for stream, position in zip(streams, positions, strict=True):
            if position is None:
                unknown.append(stream)
                continue
            stream.place(position)
            stream.moved_tick = self._hub.sweep.tick
            _end(stream)
            if stream.is_behind:
                self._hub.mender.mend(stream)
        return unknown


async def _find(
    ask: Callable[[Sequence[StreamKey]], Awaitable[Sequence[Found]]], streams: Sequence[Stream]
) -> Sequence[Found]:
    keys = [stream.key for stream in streams]
    try:
        return await ask(keys)
    except Outage:
        # The first call after Redis came back finds the broken connection.
        return await ask(keys)


def _end(stream: Stream) -> None:
    waiting, stream.opening = stream.opening, None
    for waiter in waiting or ():
        if not waiter.done():
            waiter.set_result(None)
