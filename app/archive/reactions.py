"""The reactions to messages: who reacted, and what a message shows of it.

Reactions and what their message shows are written in one transaction. Those who react to one
message at once share it: they would only be in each other's way. Each has a `rev` of the message
to itself all the same, and is kept with it: the exact order in which they came.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pymongo import ASCENDING, DeleteOne, InsertOne, ReturnDocument
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from app.archive.documents import Document
from app.archive.shown_reactions import SHOWN_USERS, Fold, Wish
from app.clients import Database, Session
from app.errors import RequestError

GROUP_LENGTH: Final = 100
LONGEST_PAUSE_SECONDS: Final = 0.1

_SNAPSHOT: Final = ReadConcern("snapshot")


@dataclass(frozen=True, slots=True)
class Result:
    """The message as it is now, and the `rev` that it got by a wish; None: nothing changed."""

    message: Document
    rev: int | None


Answer = asyncio.Future[Result | None]
Waiting = list[tuple[Wish, Answer]]


class Reactions:
    """The collection `reactions`, and what the messages show of it.

    What meets another change of its message is tried again until its callers give up.
    """

    def __init__(self, database: Database) -> None:
        self._client = database.client
        self._messages = database["messages"]
        self._reactions = database["reactions"]
        self._waiting: defaultdict[str, Waiting] = defaultdict(list)
        self._working: dict[str, asyncio.Task[None]] = {}

    async def change(self, message_id: str, wish: Wish) -> Result | None:
        """Make a wish come true; return what became of the message.

        Returns None if there is no such message, or if it is deleted.

        Raises:
            RequestError: `conflict`, it would be the 21st kind.
        """
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting[message_id].append((wish, answer))
        if message_id not in self._working:
            self._working[message_id] = asyncio.create_task(self._work(message_id))
        return await answer

    async def users(
        self, message_id: str, emoji: str, limit: int, *, after: int = 0
    ) -> list[Document]:
        """Return the reactions of one kind with a rev above `after`, the earliest first."""
        query = {"messageId": message_id, "emoji": emoji, "rev": {"$gt": after}}
        found = self._reactions.find(query).sort("rev", ASCENDING).limit(limit)
        return await found.to_list(limit)

    async def _work(self, message_id: str) -> None:
        try:
            while group := self._next_group(message_id):
                await self._serve(message_id, group)
        finally:
            del self._working[message_id]
            # Only a cancelled task leaves any behind: the process ends.
            for _, answer in self._waiting.pop(message_id, ()):
                answer.cancel()

    def _next_group(self, message_id: str) -> Waiting:
        wanted = _undecided(self._waiting[message_id])
        self._waiting[message_id] = wanted[GROUP_LENGTH:]
        return wanted[:GROUP_LENGTH]

    async def _serve(self, message_id: str, group: Waiting) -> None:
        pause_seconds = 0.002
        # Whoever has given up before MongoDB has begun is left out.
        while group := _undecided(group):
            try:
                results = await self._transact(message_id, [wish for wish, _ in group])
            except Exception as error:  # noqa: BLE001 - each caller raises it
                # Another gateway's reaction, or an edit, was faster; or a primary has gone.
                if _is_transient(error):
                    await asyncio.sleep(random.uniform(0, pause_seconds))
                    pause_seconds = min(pause_seconds * 2, LONGEST_PAUSE_SECONDS)
                    continue
                results = [error] * len(group)
            for (_, answer), result in zip(group, results, strict=True):
                if answer.done():
                    continue
                if isinstance(result, Exception):
                    answer.set_exception(result)
                else:
                    answer.set_result(result)

    async def _transact(
        self, message_id: str, wishes: Sequence[Wish]
    ) -> Sequence[Result | Exception | None]:
        async with (
            await self._client.start_session() as session,
            # The write concern is the client's: a majority. It holds for what was only read, too.
            session.start_transaction(read_concern=_SNAPSHOT),
        ):
            return await self._grant(message_id, wishes, session)

    async def _grant(
        self, message_id: str, wishes: Sequence[Wish], session: Session
    ) -> Sequence[Result | Exception | None]:
        living = {"_id": message_id, "deletedAt": None}
        message = await self._messages.find_one(living, session=session)
        if message is None:
            return [None] * len(wishes)
        present = await self._find_present(message_id, wishes, session)
        fold = Fold([dict(kind) for kind in message["reactions"]], message["rev"], present)
        revs: list[int | RequestError | None] = []
        writes: list[InsertOne[Document] | DeleteOne] = []
        for wish in wishes:
            try:
                is_changed = fold.grant(wish)
            except RequestError as refused:
                revs.append(refused)
                continue
            revs.append(fold.rev if is_changed else None)
            if is_changed:
                writes.append(_write(message_id, wish, fold.rev))
        if writes:
            await self._reactions.bulk_write(writes, session=session)
            for kind in fold.shown:
                if kind["emoji"] in fold.taken_back:
                    kind["userIds"] = await self._first_users(message_id, kind["emoji"], session)
            message = await self._show(message_id, fold, session)
        return [r if isinstance(r, RequestError) else Result(message, r) for r in revs]

    async def _find_present(
        self, message_id: str, wishes: Iterable[Wish], session: Session
    ) -> set[tuple[str, str]]:
        users: defaultdict[str, list[str]] = defaultdict(list)
        for wish in wishes:
            users[wish.emoji].append(wish.user_id)
        asked = [{"emoji": emoji, "userId": {"$in": ids}} for emoji, ids in users.items()]
        query = {"messageId": message_id, "$or": asked}
        found = self._reactions.find(query, {"emoji": 1, "userId": 1}, session=session)
        return {(each["emoji"], each["userId"]) async for each in found}

    async def _first_users(self, message_id: str, emoji: str, session: Session) -> list[str]:
        query = {"messageId": message_id, "emoji": emoji}
        found = self._reactions.find(query, {"userId": 1}, session=session)
        return [each["userId"] async for each in found.sort("rev", ASCENDING).limit(SHOWN_USERS)]

    async def _show(self, message_id: str, fold: Fold, session: Session) -> Document:
        changed: Document = await self._messages.find_one_and_update(
            {"_id": message_id},
            {
                "$set": {
                    "reactions": fold.shown,
                    "rev": fold.rev,
                    "pendingSince": datetime.now(UTC),
                },
                "$currentDate": {"changedAt": True},
            },
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return changed


def _undecided(waiting: Waiting) -> Waiting:
    return [(wish, answer) for wish, answer in waiting if not answer.done()]


def _is_transient(error: Exception) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label("TransientTransactionError")


def _write(message_id: str, wish: Wish, rev: int) -> "InsertOne[Document] | DeleteOne":
    reaction = {"messageId": message_id, "emoji": wish.emoji, "userId": wish.user_id}
    if wish.is_wanted:
        return InsertOne({**reaction, "rev": rev, "createdAt": datetime.now(UTC)})
    return DeleteOne(reaction)
