"""Where a client that comes back begins, and what it is told about it.

The verdict is never better than the truth: `log` only if every missed event follows, `history` only
if every missed message and change does, else false with the reason.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import Counter

from app.clients import MONGODB_SECONDS
from app.keys import StreamKey
from app.outages import answering
from app.stream_log.cursor import Cursor, Position
from web.fan_out.hub import Hub
from web.fan_out.stream import Stream

MOST_MESSAGES: Final = 10_000
OVERLAP_MS: Final = 60_000
"""A change may be logged later than it was made, and clocks differ."""

_resumes = Counter(
    "hubbub_resumes_total", "Resumed streams, by what clients were told.", ["verdict"]
)


@dataclass(frozen=True, slots=True)
class Missed:
    """What a client gets from MongoDB: numbers above `after` up to the target's, and changes."""

    after: int
    target: Position
    changed: Sequence[str]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a client begins in a stream: all that follows `cursor` comes, by way of `missed` if
    the log does not reach so far. `verdict` is "log", "history", a reason of false, or empty when
    no cursor was given."""

    stream: Stream
    cursor: Cursor
    verdict: str
    missed: Missed | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What `joined` and `resumed` say of it."""
        position = self.cursor.position
        fields: dict[str, Any] = {"cursor": position.cursor(self.cursor.at_ms)}
        if self.verdict in ("log", "history"):
            fields["recovered"] = self.verdict
        elif self.verdict:
            fields |= {"recovered": False, "reason": self.verdict}
        return fields


async def open_stream(hub: Hub, key: StreamKey, since: str | Cursor | None) -> Start:
    """Join a stream and decide where its client begins; `Hub.leave` must follow.

    Raises:
        Unavailable: Redis or MongoDB does not answer; nothing is joined.
    """
    stream = await hub.join(key)
    try:
        return await decide(hub, stream, since)
    except BaseException:
        hub.release(stream)
        raise


async def decide(hub: Hub, stream: Stream, since: str | Cursor | None) -> Start:
    """Return where a client with the cursor `since` begins in a stream it has joined.

    Raises:
        Unavailable: Redis or MongoDB does not answer.
    """
    if since is None:
        return _here(hub, stream, "")
    start = await _look_back(hub, stream, Cursor.parse(since) if isinstance(since, str) else since)
    _resumes.labels(start.verdict).inc()
    return start


def _here(hub: Hub, stream: Stream, verdict: str) -> Start:
    return Start(stream, Cursor(stream.position, hub.feed.current_ms), verdict)


async def _look_back(hub: Hub, stream: Stream, cursor: Cursor | None) -> Start:
    if cursor is None:
        return _here(hub, stream, "unknown_cursor")
    wanted = cursor.position
    if not stream.reaches(wanted) or hub.feed.is_catching_up:
        # Perhaps this gateway is the one that is behind.
        await hub.mender.refresh(stream)
    if stream.reaches(wanted):
        if wanted.seq == stream.seq:
            return _here(hub, stream, "log")
        if await hub.pages.read(stream.key, wanted.epoch, wanted.seq) is not None:
            return Start(stream, cursor, "log")
    return await _ask_mongodb(hub, stream, cursor)


async def _ask_mongodb(hub: Hub, stream: Stream, cursor: Cursor) -> Start:
    # Read before MongoDB is asked: what comes later than this is taken from the log.
    target = stream.position
    after = cursor.position.number
    if stream.key.kind != "channel" or after > target.number:
        return _here(hub, stream, "unknown_cursor")
    if target.number - after > MOST_MESSAGES:
        return _here(hub, stream, "too_far")
    since_ms = min(cursor.at_ms, time.time_ns() // 1_000_000) - OVERLAP_MS
    async with answering("mongodb", MONGODB_SECONDS):
        changed = await hub.history.changed(
            stream.key.id, target, after, max(since_ms, 0), MOST_MESSAGES + 1
        )
    if target.number - after + len(changed) > MOST_MESSAGES:
        return _here(hub, stream, "too_far")
    return Start(stream, cursor, "history", Missed(after, target, changed))
