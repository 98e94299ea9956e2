"""Pages of a channel's messages: from the Redis list if it holds the range, else from MongoDB.

The list is always all undeleted messages from the newest down to its last entry, so it can answer
for every range above that entry, and for everything if it reaches number 1.
"""

import asyncio
import logging
import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.archive.documents import Document, render
from app.archive.messages import Messages
from app.clients import MONGODB_SECONDS
from app.errors import FieldError, RequestError, Unavailable
from app.ids import is_message_id
from app.keys import CACHE_LENGTH, channel_stream
from app.outages import answering
from app.stream_log.cursor import Position
from app.stream_log.log import StreamLog

REDIS_SECONDS: Final = 1.0
"""A cache that takes longer than the archive is none."""

AWAY_SECONDS: Final = 1.0
"""How long Redis is left alone after it did not answer: not every read shall wait for it."""

WAIT_SECONDS: Final = 2.0
"""How long a page waits for numbers that MongoDB has lost, before its reader is to come again."""

_LOOK_SECONDS: Final = 0.2

log = logging.getLogger(__name__)


class _NumbersLost(Unavailable):
    """MongoDB lacks numbers that are about to be given again."""


_number = re.compile(rb'"number":(\d+)')


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, newest first, and the bound to go on with, if there may be more."""

    messages: Sequence[bytes]
    next: int | None
    is_hit: bool


@dataclass(frozen=True, slots=True)
class Run:
    """All undeleted messages of a channel from its newest down to the last of these."""

    messages: Sequence[bytes]
    is_whole: bool

    def cut(
        self, limit: int, *, before: int | None, after: int | None, is_hit: bool
    ) -> Page | None:
        """Return a page of this run; None if the run does not reach far enough down."""
        found = self.messages
        if after is not None:
            reaches = self.is_whole or (len(found) > 0 and number_of(found[-1]) <= after + 1)
            if not reaches:
                return None
            end = bisect_left(found, -after, key=_rank)
            start = max(end - limit, 0)
            return Page(found[start:end], number_of(found[start]) if start else None, is_hit)
        start = 0 if before is None else bisect_right(found, -before, key=_rank)
        end = start + limit
        if end > len(found) and not self.is_whole:
            return None
        has_more = end < len(found) or not self.is_whole
        return Page(found[start:end], number_of(found[end - 1]) if has_more else None, is_hit)


class MessageCache:
    """Reads a channel's messages, and fills the Redis list that the messages agent keeps.

    Numbers that MongoDB has lost and not been given again within `lost_seconds` are lost for good.
    """

    def __init__(
        self, messages: Messages, log: StreamLog, redis: Redis, lost_seconds: float
    ) -> None:
        self._messages = messages
        self._log = log
        self._redis = redis
        self._lost_seconds = lost_seconds
        self._away_until = 0.0
        # By channel and number, since when MongoDB was seen to lack it.
        self._lacking: dict[tuple[str, int], float] = {}

    async def page(
        self, channel_id: str, limit: int, *, before: str | None = None, after: str | None = None
    ) -> Page:
        """Return a page of numbered, undeleted messages, newest first.

        Bounds are numbers or message ids, exclusive; `after` gives the `limit` next above it.

        Raises:
            RequestError: `invalid`, a bound names no numbered message of this channel.
            Unavailable: neither the list nor MongoDB could answer, or MongoDB has lost numbers that
                are about to be given again.
        """
        is_newest = before is None and after is None
        # One more than wanted tells whether there are more.
        listed = await self._read_list(channel_id, limit + 1 if is_newest else CACHE_LENGTH)
        low = await self._resolve(channel_id, "after", after, listed)
        high = await self._resolve(channel_id, "before", before, listed)
        if listed:
            run = Run(listed, is_whole=number_of(listed[-1]) == 1)
            page = run.cut(limit, before=high, after=low, is_hit=True)
            if page is not None:
                return page
        position = await self._position(channel_id)
        if not listed:
            try:
                run = await self._load(channel_id, position)
            except _NumbersLost:
                if is_newest:
                    raise
            else:
                page = run.cut(limit, before=high, after=low, is_hit=False)
                if page is not None:
                    return page
        return await self._read_archive(channel_id, limit, high, low, position)

    async def _read_list(self, channel_id: str, count: int) -> list[bytes]:
        if time.monotonic() < self._away_until:
            return []
        try:
            async with answering("redis", REDIS_SECONDS):
                key = channel_stream(channel_id).name
                found: list[Any] = await self._redis.lrange(key, 0, count - 1)
        except Unavailable as error:
            self._leave_alone(error)
            return []
        except ResponseError:
            # A key of another type, which the next append deletes.
            return []
        return found

    def _leave_alone(self, error: Unavailable) -> None:
        # Redis that refuses to write, since it is full, gives at once what it has.
        if not isinstance(error.__cause__, ResponseError):
            self._away_until = time.monotonic() + AWAY_SECONDS

    async def _position(self, channel_id: str) -> Position | None:
        if time.monotonic() < self._away_until:
            return None
        stream = channel_stream(channel_id)
        try:
            async with answering("redis", REDIS_SECONDS):
                position = (await self._log.positions([stream]))[0]
            if position is not None:
                return position
            # A new epoch asks MongoDB for its number: that may take longer than Redis may.
            async with answering("mongodb", MONGODB_SECONDS), answering("redis", MONGODB_SECONDS):
                return await self._log.position(stream)
        except Unavailable as error:
            if error.dependency == "mongodb":
                raise
            self._leave_alone(error)
            return None

    async def _load(self, channel_id: str, position: Position | None) -> Run:
        documents, is_whole = await self._find(channel_id, CACHE_LENGTH, position)
        messages = [render(document) for document in documents]
        if position is not None and messages and is_whole:
            await self._fill(channel_id, position, messages)
        return Run(messages, is_whole=len(messages) < CACHE_LENGTH)

    async def _find(
        self,
        channel_id: str,
        limit: int,
        position: Position | None,
        *,
        before: int | None = None,
        after: int | None = None,
    ) -> tuple[Sequence[Document], bool]:
        """Return a page's documents, and whether MongoDB has every number that belongs to it.

        It may have lost the last ones that Redis knows with a primary. They are given again soon,
        but no event brings them to who has asked: without them the page would be wrong for good.
        """
        up_to = None if position is None else position.number
        top = (up_to or 0) if before is None else min(up_to or 0, before - 1)
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            async with answering("mongodb", MONGODB_SECONDS):
                documents = await self._messages.page(
                    channel_id, limit, before=before, after=after, up_to=up_to
                )
                is_filled = after is not None and len(documents) == limit
                if is_filled or await self._reaches(channel_id, documents, after or 0, top):
                    self._lacking.pop((channel_id, top), None)
                    return documents, True
            if self._is_lost(channel_id, top):
                log.warning("page_ends_early", extra={"channel": channel_id})
                return documents, False
            if time.monotonic() >= deadline:
                raise _NumbersLost("mongodb")
            await asyncio.sleep(_LOOK_SECONDS)

    def _is_lost(self, channel_id: str, number: int) -> bool:
        """Whether MongoDB has lacked a number for so long that nobody gives it again."""
        now = time.monotonic()
        since = self._lacking.setdefault((channel_id, number), now)
        if since == now:
            past = now - 2 * self._lost_seconds
            self._lacking = {key: at for key, at in self._lacking.items() if at >= past}
        return now - since >= self._lost_seconds

    async def _reaches(
        self, channel_id: str, newest: Sequence[Document], bottom: int, top: int
    ) -> bool:
        if top <= bottom or (newest and newest[0]["number"] >= top):
            return True
        # Unless the newest are deleted.
        return await self._messages.highest_number(channel_id) >= top

    async def _fill(self, channel_id: str, position: Position, messages: Sequence[bytes]) -> None:
        try:
            async with answering("redis", REDIS_SECONDS):
                await self._log.fill(channel_stream(channel_id), position, messages)
        except Unavailable as error:
            self._leave_alone(error)

    async def _read_archive(
        self,
        channel_id: str,
        limit: int,
        before: int | None,
        after: int | None,
        position: Position | None,
    ) -> Page:
        documents, _ = await self._find(channel_id, limit + 1, position, before=before, after=after)
        has_more = len(documents) > limit
        if after is None:
            documents = documents[:limit]
            bound = documents[-1]["number"] if has_more else None
        else:
            documents = documents[-limit:]
            bound = documents[0]["number"] if has_more else None
        return Page([render(document) for document in documents], bound, is_hit=False)

    async def _resolve(
        self, channel_id: str, field: str, bound: str | None, listed: Sequence[bytes]
    ) -> int | None:
        if bound is None or not is_message_id(bound):
            return None if bound is None else int(bound)
        prefix = f'{{"id":"{bound}"'.encode()
        for message in listed:
            if message.startswith(prefix):
                return number_of(message)
        async with answering("mongodb", MONGODB_SECONDS):
            number = await self._messages.number_of(channel_id, bound)
        if number is None:
            error = FieldError(field, "names no message of this channel")
            raise RequestError("invalid", f"{field} {error.message}", [error])
        return number


def number_of(message: bytes) -> int:
    """Return a message's number, read from its JSON.

    The first such field is the message's own: before it there are ids alone.
    """
    found = _number.search(message)
    return 0 if found is None else int(found[1])


def _rank(message: bytes) -> int:
    # Rises along a run, as bisect wants it.
    return -number_of(message)
