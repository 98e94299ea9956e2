"""Tells a channel's clients who comes, who goes and who types: published, in no log.

Best effort: what Redis does not take is not told again. A client gets the whole list when it joins.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agents.notices import Change, Notices
from app.gathering import Gathering
from app.keys import channel_stream

log = logging.getLogger(__name__)

_TICK_SECONDS: Final = 0.1
_BATCHES_A_TRIP: Final = 100
_PUBLISH: Final = (Path(__file__).parent / "publish.lua").read_text()

Frame = tuple[str, bytes]
"""A channel's id, and what its clients are told."""

_told = Counter("hubbub_presence_frames_total", "Frames of presence and typing told to channels.")


class Herald:
    """Publishes on streams' live channels; of a channel's changes at most ten a second singly."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(_PUBLISH)
        self._frames: Gathering[list[Frame], None] = Gathering(self._publish_all, _BATCHES_A_TRIP)
        self._notices = Notices()
        self._is_owing = asyncio.Event()

    async def tell(
        self, changes: Mapping[str, Iterable[Change]], counts: Mapping[str, int]
    ) -> None:
        """Tell of changes, by channel, or keep them for the end of the second."""
        now = time.monotonic()
        frames = []
        for channel_id, changed in changes.items():
            for change in changed:
                frame = self._notices.add(channel_id, change, counts[channel_id], now)
                if frame is not None:
                    frames.append((channel_id, frame))
        self._is_owing.set()
        await self.publish(frames)

    async def publish(self, frames: Iterable[Frame]) -> None:
        """Publish frames to their channels' clients; all that is said at once in one round trip."""
        waiting = list(frames)
        if waiting:
            await self._frames.ask(waiting)

    async def _publish_all(self, gathered: Sequence[Sequence[Frame]]) -> Sequence[None]:
        frames = [frame for waiting in gathered for frame in waiting]
        arguments: list[str | bytes] = []
        for channel_id, frame in frames:
            arguments += (channel_stream(channel_id).live, frame)
        try:
            await self._script(args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("presence_not_told", extra={"error": type(error).__name__})
        else:
            _told.inc(len(frames))
        return [None] * len(gathered)

    async def run(self) -> None:
        """Tell what has waited for its second to end, for ever."""
        while True:
            await self._is_owing.wait()
            await asyncio.sleep(_TICK_SECONDS)
            await self.publish(self._notices.due(time.monotonic()))
            if not self._notices:
                self._is_owing.clear()
