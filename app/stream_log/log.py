"""The stream log: append, position, read, fill."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from app.keys import (
    CACHE_LENGTH,
    CACHE_TTL_SECONDS,
    LOG_LENGTH,
    LOG_TTL_SECONDS,
    META_TTL_SECONDS,
    StreamKey,
)
from app.stream_log.cursor import Position
from app.stream_log.scripts import APPEND, FILL, POSITION, READ, Call, Script, ScriptConnection

READ_COUNT: Final = 100
"""Events read from a log at a time: a page of a replay."""

Floor = Callable[[StreamKey], Awaitable[int]]
"""Asks MongoDB for the highest number of a stream that begins a new epoch."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event to append: its record's offset, and what goes to clients and into the cache.

    `change` is what happens to the channel's cache list: "push", "replace", "remove" or "".
    `message` is the message's own JSON where `data` is something around it. `needs` is the number
    of a message that the stream must have brought before this event.
    """

    offset: int
    type: str
    data: bytes
    number: int | None = None
    change: str = ""
    message_id: str = ""
    rev: int = 0
    message: bytes = b""
    needs: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from: the guard compares offsets within one of these only."""

    topic: str
    partition: int
    incarnation: str


@dataclass(frozen=True, slots=True)
class Append:
    """All of a batch's entries for one stream. `floor` is the number that a new epoch starts
    from, one below the batch's first; None: ask MongoDB if it comes to that."""

    stream: StreamKey
    entries: Sequence[Entry]
    floor: int | None


class StreamLog:
    """The logs of all streams, through one connection."""

    def __init__(self, redis: Redis, floor: Floor) -> None:
        self._scripts = ScriptConnection(redis)
        self._floor = floor

    async def close(self) -> None:
        """Close the connection."""
        await self._scripts.close()

    async def append(
        self, source: Source, appends: Iterable[Append], ahead: Sequence[Call] = ()
    ) -> dict[StreamKey, int]:
        """Append, stream by stream in one round trip; publish, cache and guard in the same step.

        The calls `ahead` are run before all that in the same trip: what they write is there when
        clients see the events.

        Returns where it stopped: for each stream with an entry that `needs` more than the stream
        has reached, the offset of the first such; neither it nor any later entry was appended.

        Safe to repeat: what a stream's guard has seen is skipped. An error leaves it unknown which
        of the streams were written: repeat all of them before anything later.
        """
        waiting = list(appends)
        calls = [_append_call(source, item) for item in waiting]
        answers = await self._scripts.run([*ahead, *calls])
        refused: dict[StreamKey, int] = {}
        for item, first in zip(waiting, answers[len(ahead) :], strict=True):
            answer = first
            if _needs_number(answer):
                floor = await self._floor(item.stream)
                again = Append(item.stream, item.entries, floor)
                answer = (await self._scripts.run([_append_call(source, again)]))[0]
            if len(answer) > 2:
                refused[item.stream] = int(answer[2])
        return refused

    async def position(self, stream: StreamKey) -> Position:
        """Return where the stream stands; begins an epoch if this server has none for it."""
        known = (await self.positions([stream]))[0]
        return known or (await self.begin([stream]))[0]

    async def positions(self, streams: Sequence[StreamKey]) -> list[Position | None]:
        """Return where each stream stands, in one round trip; None: a channel without an epoch.

        A user's stream begins one: its events have no numbers, so there is nothing to ask for.
        """
        floors = [None if stream.kind == "channel" else 0 for stream in streams]
        answers = await self._scripts.run(list(map(_position_call, streams, floors)))
        return [None if _needs_number(answer) else _position(answer) for answer in answers]

    async def begin(self, streams: Sequence[StreamKey]) -> list[Position]:
        """Return where streams stand that had no epoch; begins one for those that have none yet."""
        floors = await asyncio.gather(*map(self._floor, streams))
        answers = await self._scripts.run(list(map(_position_call, streams, floors)))
        return list(map(_position, answers))

    async def read(
        self, stream: StreamKey, epoch: str, after: int, count: int = READ_COUNT
    ) -> list[bytes] | None:
        """Return up to `count` frames after seq `after`, without a hole; None if the log cannot."""
        answer = (await self._scripts.run([_call(READ, stream, epoch, after, count)]))[0]
        return None if _text(answer) == "GONE" else list(answer)

    async def fill(self, stream: StreamKey, position: Position, messages: Sequence[bytes]) -> bool:
        """Write a channel's cache list, newest first, if nothing happened since `position`."""
        call = _call(FILL, stream, position.epoch, position.seq, CACHE_TTL_SECONDS, *messages)
        return bool((await self._scripts.run([call]))[0])


def frame_head(stream: StreamKey, event_type: str) -> bytes:
    """The frame of a stream's event up to its seq."""
    owner = b"channelId" if stream.kind == "channel" else b"userId"
    return b'{"type":"%s","%s":%s,"seq":' % (
        event_type.encode(), owner, orjson.dumps(stream.id)
    )  # fmt: skip


def _call(script: Script, stream: StreamKey, *arguments: bytes | str | int) -> Call:
    cache = stream.name if stream.kind == "channel" else f"{{{stream.name}}}:none"
    return script, (stream.log, stream.meta, cache), arguments


def _position_call(stream: StreamKey, floor: int | None) -> Call:
    start = "" if floor is None else floor
    return _call(POSITION, stream, _fresh_epoch(), start, META_TTL_SECONDS)


def _position(answer: Sequence[Any]) -> Position:
    return Position(_text(answer[0]), int(answer[1]), int(answer[2]))


def _append_call(source: Source, item: Append) -> Call:
    arguments: list[bytes | str | int] = [
        _fresh_epoch(),
        "" if item.floor is None else item.floor,
        META_TTL_SECONDS,
        item.stream.live,
        time.time_ns() // 1_000_000,
        f"{source.topic}:{source.partition}",
        source.incarnation,
        LOG_LENGTH,
        LOG_TTL_SECONDS,
        CACHE_LENGTH,
        CACHE_TTL_SECONDS,
    ]
    for entry in item.entries:
        arguments += (
            entry.offset,
            "" if entry.number is None else entry.number,
            entry.change,
            f'{{"id":"{entry.message_id}","rev":',
            entry.rev,
            frame_head(item.stream, entry.type),
            entry.data,
            entry.message,
            entry.needs,
        )
    return _call(APPEND, item.stream, *arguments)


def _needs_number(answer: object) -> bool:
    return _text(answer) == "NEED_NUMBER"


def _text(answer: object) -> str:
    return (
        answer.decode() if isinstance(answer, bytes) else answer if isinstance(answer, str) else ""
    )


def _fresh_epoch() -> str:
    # Made for every call and seldom used; no secret, so it is worth no call of the system.
    return f"{random.getrandbits(32):08x}"
