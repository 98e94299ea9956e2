"""The reactions to messages: who reacted, and what a message shows of it.

A reaction and what its message shows are written in one transaction. A reaction is kept with the
`rev` that its message got by it: the exact order in which they came.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ASCENDING, ReturnDocument
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from app.archive.documents import Document
from app.clients import Database
from app.errors import RequestError

KINDS: Final = 20
"""Kinds of emoji that a message can have."""

SHOWN_USERS: Final = 20
"""Users that a message names of each kind: the first ones; the others are counted."""

LANES: Final = 64

LONGEST_PAUSE_SECONDS: Final = 0.1

_SNAPSHOT: Final = ReadConcern("snapshot")

Shown = Sequence[dict[str, Any]]
"""What a message shows: `{emoji, count, userIds}` of each kind, in the order of its first use."""

Attempt = Callable[[AsyncIOMotorClientSession], Awaitable[tuple[Document, bool] | None]]


def count_in(shown: Shown, emoji: str, user_id: str) -> list[dict[str, Any]]:
    """Return what a message shows once a user who had not reacted so has.

    Raises:
        RequestError: `conflict`, it would be the 21st kind.
    """
    if not any(kind["emoji"] == emoji for kind in shown):
        if len(shown) >= KINDS:
            raise RequestError("conflict", f"a message can have {KINDS} kinds of emoji")
        return [*shown, {"emoji": emoji, "count": 1, "userIds": [user_id]}]
    return [
        {
            "emoji": emoji,
            "count": kind["count"] + 1,
            "userIds": [*kind["userIds"], user_id][:SHOWN_USERS],
        }
        if kind["emoji"] == emoji
        else kind
        for kind in shown
    ]


def count_out(shown: Shown, emoji: str, first_users: Sequence[str]) -> list[dict[str, Any]]:
    """Return what a message shows once a user has taken a reaction back; `first_users` are left."""
    return [
        {"emoji": emoji, "count": kind["count"] - 1, "userIds": list(first_users)}
        if kind["emoji"] == emoji
        else kind
        for kind in shown
        if kind["emoji"] != emoji or kind["count"] > 1
    ]


class Reactions:
    """The collection `reactions`, and what the messages show of it.

    A change that meets another one is tried again until its caller gives up.
    """

    def __init__(self, database: Database) -> None:
        self._client = database.client
        self._messages = database["messages"]
        self._reactions = database["reactions"]
        self._running: set[asyncio.Task[tuple[Document, bool] | None]] = set()
        # Those who react to one message here take turns: in MongoDB they would only disturb each
        # other, and their changes come out in the order of their revs.
        self._lanes = tuple(asyncio.Lock() for _ in range(LANES))

    async def add(self, message_id: str, emoji: str, user_id: str) -> tuple[Document, bool] | None:
        """Add a user's reaction; return the message as it then is, and whether that changed it.

        Returns None if there is no such message, or if it is deleted.

        Raises:
            RequestError: `conflict`, it would be the 21st kind.
        """

        async def attempt(session: AsyncIOMotorClientSession) -> tuple[Document, bool] | None:
            message = await self._find_living(message_id, session)
            if message is None:
                return None
            reaction = {"messageId": message_id, "emoji": emoji, "userId": user_id}
            if await self._reactions.find_one(reaction, session=session) is not None:
                return message, False
            shown = count_in(message["reactions"], emoji, user_id)
            added = {**reaction, "rev": message["rev"] + 1, "createdAt": datetime.now(UTC)}
            await self._reactions.insert_one(added, session=session)
            return await self._show(message, shown, session), True

        return await self._transact(message_id, attempt)

    async def remove(
        self, message_id: str, emoji: str, user_id: str
    ) -> tuple[Document, bool] | None:
        """Take a user's reaction back; return the message as it then is, and whether it changed.

        Returns None if there is no such message, or if it is deleted.
        """

        async def attempt(session: AsyncIOMotorClientSession) -> tuple[Document, bool] | None:
            message = await self._find_living(message_id, session)
            if message is None:
                return None
            reaction = {"messageId": message_id, "emoji": emoji, "userId": user_id}
            removed = await self._reactions.delete_one(reaction, session=session)
            if not removed.deleted_count:
                return message, False
            left = await self._find_users(message_id, emoji, 0, SHOWN_USERS, session)
            shown = count_out(message["reactions"], emoji, [each["userId"] for each in left])
            return await self._show(message, shown, session), True

        return await self._transact(message_id, attempt)

    async def users(
        self, message_id: str, emoji: str, limit: int, *, after: int = 0
    ) -> list[Document]:
        """Return the reactions of one kind with a rev above `after`, the earliest first."""
        return await self._find_users(message_id, emoji, after, limit)

    async def _find_users(
        self,
        message_id: str,
        emoji: str,
        after: int,
        limit: int,
        session: AsyncIOMotorClientSession | None = None,
    ) -> list[Document]:
        query = {"messageId": message_id, "emoji": emoji, "rev": {"$gt": after}}
        found = self._reactions.find(query, session=session).sort("rev", ASCENDING).limit(limit)
        return await found.to_list(limit)

    async def _find_living(
        self, message_id: str, session: AsyncIOMotorClientSession
    ) -> Document | None:
        living = {"_id": message_id, "deletedAt": None}
        return await self._messages.find_one(living, session=session)

    async def _show(
        self, message: Document, shown: Shown, session: AsyncIOMotorClientSession
    ) -> Document:
        changed: Document = await self._messages.find_one_and_update(
            {"_id": message["_id"]},
            {
                "$set": {"reactions": shown, "pendingSince": datetime.now(UTC)},
                "$inc": {"rev": 1},
                "$currentDate": {"changedAt": True},
            },
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return changed

    async def _transact(self, message_id: str, attempt: Attempt) -> tuple[Document, bool] | None:
        """Bring a transaction about; if another was faster, try again for as long as it takes."""
        pause_seconds = 0.002
        async with self._lanes[hash(message_id) % LANES]:
            while True:
                try:
                    return await self._attempt(attempt)
                except PyMongoError as error:
                    # Another gateway's reaction, or an edit, was faster; or a primary has gone.
                    if not error.has_error_label("TransientTransactionError"):
                        raise
                await asyncio.sleep(random.uniform(0, pause_seconds))
                pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    async def _attempt(self, attempt: Attempt) -> tuple[Document, bool] | None:
        task = asyncio.create_task(self._run(attempt))
        self._running.add(task)
        task.add_done_callback(self._forget)
        # Given up by its caller, it still has to be ended in MongoDB, which may not answer: the
        # caller does not wait for that.
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[tuple[Document, bool] | None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # Seen by its caller, if that has not given up.

    async def _run(self, attempt: Attempt) -> tuple[Document, bool] | None:
        async with (
            await self._client.start_session() as session,
            # The write concern is the client's: a majority. It holds for what was only read, too.
            session.start_transaction(read_concern=_SNAPSHOT),
        ):
            return await attempt(session)
