"""Pages of what clients missed, read once for all who ask for the same at the same time.

After a gateway's death its clients come back together, most with one cursor: one of them reads.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from app.archive.documents import Document, render
from app.archive.history import History
from app.keys import StreamKey
from app.stream_log.cursor import Position
from app.stream_log.log import READ_COUNT, StreamLog
from web.fan_out.frames import Batch

log = logging.getLogger(__name__)

PAGE_BYTES: Final = 256 * 1024
PAGE_MESSAGES: Final = 100

PATIENCE_SECONDS: Final = 15.0
"""A worker that meets a rollback leaves, comes again and numbers the same messages alike."""

_LOOK_SECONDS: Final = 0.5

Value = TypeVar("Value")


class SharedReads(Generic[Value]):
    """Reads by key: who asks while one is under way, or just after, gets its result."""

    def __init__(self) -> None:
        self._reads: dict[Hashable, asyncio.Task[Value]] = {}

    async def get(self, key: Hashable, read: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return what `read` returns, or returned for the same key a moment ago."""
        task = self._reads.get(key)
        if task is None:
            task = self._reads[key] = asyncio.create_task(read())
            task.add_done_callback(lambda done: self._drop_failed(key, done))
        # Shielded: one that gives up must not take it from the others.
        return await asyncio.shield(task)

    def _drop_failed(self, key: Hashable, task: asyncio.Task[Value]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._reads.pop(key, None)

    def forget(self) -> None:
        """Forget what has been read."""
        for key in [key for key, task in self._reads.items() if task.done()]:
            del self._reads[key]


class Page:
    """Events that follow each other in a log."""

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._payloads = payloads
        self._batch = Batch(())

    def first(self, count: int) -> Batch:
        """The first `count` of them, fewer if they would be more than 256 KiB; at least one."""
        size = fitting = 0
        for payload in self._payloads[:count]:
            size += len(payload)
            if fitting and size > PAGE_BYTES:
                break
            fitting += 1
        if len(self._batch) != fitting:
            self._batch = Batch(self._payloads[:fitting])
        return self._batch


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Messages as JSON, and how far they reach: to a number, or so many of the ids."""

    messages: Sequence[bytes]
    reached: int


class LogPages:
    """Pages of stream logs."""

    def __init__(self, stream_log: StreamLog) -> None:
        self._log = stream_log
        self._reads: SharedReads[Page | None] = SharedReads()

    async def read(self, key: StreamKey, epoch: str, after: int) -> Page | None:
        """Return up to 100 events after seq `after`; None if the log does not have them.

        Ask only for what must be there: that a page is short or missing is never asked again
        within a second.
        """

        async def read() -> Page | None:
            payloads = await self._log.read(key, epoch, after, READ_COUNT)
            return None if not payloads else Page(payloads)

        return await self._reads.get((key, epoch, after), read)

    def forget(self) -> None:
        """Forget what has been read, about once a second."""
        self._reads.forget()


class HistoryPages:
    """Pages of messages from MongoDB, rendered.

    Each is read for a client that will be live from `position` on: a page that was read for an
    earlier one may lack a change whose event this client never gets.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._pages: SharedReads[HistoryPage] = SharedReads()
        self._changes: SharedReads[Sequence[str]] = SharedReads()

    async def changed(
        self, channel_id: str, position: Position, up_to: int, since_ms: int, limit: int
    ) -> Sequence[str]:
        """The ids of messages with a number up to `up_to` that changed since then."""

        async def read() -> Sequence[str]:
            since = datetime.fromtimestamp(since_ms / 1000, UTC)
            return await self._history.changed(channel_id, up_to, since, limit)

        return await self._changes.get((channel_id, position, up_to, since_ms), read)

    async def between(self, channel_id: str, position: Position, after: int) -> HistoryPage:
        """Messages with numbers above `after` up to the position's, oldest first.

        Numbers that MongoDB has lost with a primary are waited for: their messages have been live
        already, and no event will bring them to this client.
        """

        async def read() -> HistoryPage:
            up_to = position.number
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                found = await self._history.between(channel_id, after, up_to, PAGE_MESSAGES)
                if len(found) == PAGE_MESSAGES or (found and found[-1]["number"] == up_to):
                    break
                if time.monotonic() >= deadline:
                    log.warning("history_ends_early", extra={"channel": channel_id})
                    break
                await asyncio.sleep(_LOOK_SECONDS)
            messages = _render(found)
            is_all = len(messages) == len(found) < PAGE_MESSAGES
            return HistoryPage(messages, up_to if is_all else found[len(messages) - 1]["number"])

        return await self._pages.get((channel_id, position, after), read)

    async def find(self, position: Position, message_ids: Sequence[str]) -> HistoryPage:
        """The first of these messages, by their ids."""
        asked = message_ids[:PAGE_MESSAGES]

        async def read() -> HistoryPage:
            found = {document["_id"]: document for document in await self._history.find(asked)}
            documents = [found[message_id] for message_id in asked if message_id in found]
            messages = _render(documents)
            is_all = len(messages) == len(documents)
            reached = len(asked) if is_all else asked.index(documents[len(messages)]["_id"])
            return HistoryPage(messages, reached)

        return await self._pages.get((position, *asked), read)

    def forget(self) -> None:
        """Forget what has been read, about once a second."""
        self._pages.forget()
        self._changes.forget()


def _render(documents: Sequence[Document]) -> Sequence[bytes]:
    """As many of them as are 256 KiB together, from the first on; at least one."""
    messages: list[bytes] = []
    size = 0
    for document in documents:
        message = render(document)
        size += len(message)
        if messages and size > PAGE_BYTES:
            break
        messages.append(message)
    return messages
