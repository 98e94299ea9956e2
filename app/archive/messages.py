"""The messages as a gateway uses them: insert, change, page."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from app.archive.documents import Document
from app.archive.group_commit import GroupCommit
from app.clients import Database
from app.errors import RequestError
from app.ids import new_id


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that a client wants to send. `metadata` is JSON text."""

    channel_id: str
    sender_id: str
    sender_name: str
    content: str
    reply_to: str | None = None
    mentions: tuple[str, ...] = ()
    metadata: str = "{}"
    key: str | None = None

    @property
    def digest(self) -> str:
        """Tells whether a repeat under the same key is the same message."""
        parts = (
            self.channel_id,
            self.content,
            self.reply_to,
            self.mentions,
            self.metadata,
        )
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()


class Messages:
    """The collection `messages`."""

    def __init__(self, database: Database) -> None:
        self._messages = database["messages"]
        self._inserts = GroupCommit(self._messages)

    async def insert(self, draft: Draft) -> tuple[Document, bool]:
        """Insert a message; return its document, as it is now, and whether it is new.

        Raises:
            RequestError: `idempotency_conflict`, the key was used for another message.
        """
        now = _now()
        document: Document = {
            "_id": new_id(),
            "channelId": draft.channel_id,
            "senderId": draft.sender_id,
            "senderName": draft.sender_name,
            "content": draft.content,
            "replyTo": draft.reply_to,
            "mentions": list(draft.mentions),
            "metadata": draft.metadata,
            "rev": 1,
            "reactions": [],
            "createdAt": now,
            "changedAt": now,
            "pendingSince": now,
        }
        if draft.key is not None:
            document |= {"idempotencyKey": draft.key, "idempotencyHash": draft.digest}
        try:
            # Nothing is awaited since the id was made: a group's documents are in their order.
            await self._inserts.insert(document)
        except DuplicateKeyError:
            # Refused by a document that a majority has: MongoDB makes a write that failed on one
            # wait for the same write concern (`LastOpFixer` in its write_ops_exec.cpp).
            sent = {"senderId": draft.sender_id, "idempotencyKey": draft.key}
            existing = await self._messages.find_one(sent)
            if draft.key is None or existing is None:
                raise
            if existing["idempotencyHash"] != draft.digest:
                detail = "this key was used for another message"
                raise RequestError("idempotency_conflict", detail) from None
            return existing, False
        return document, True

    async def get(self, message_id: str) -> Document | None:
        """Return a message's document, also of a deleted one."""
        return await self._messages.find_one({"_id": message_id})

    async def edit(
        self, message_id: str, changes: Mapping[str, Any], *, sender_id: str | None = None
    ) -> Document | None:
        """Set `content`, `metadata` or both, of a message of this sender if one is given.

        Returns None if there is no such message, if it is deleted, or if nothing would change.
        """
        if not changes:
            return None
        differs = [{field: {"$ne": value}} for field, value in changes.items()]
        query = {**_living(message_id, sender_id), "$or": differs}
        return await self._change(query, {**changes, "editedAt": _now()})

    async def delete(self, message_id: str, *, sender_id: str | None = None) -> Document | None:
        """Delete a message, of this sender if one is given; None if it is missing or deleted."""
        return await self._change(_living(message_id, sender_id), {"deletedAt": _now()})

    async def _change(self, query: Mapping[str, Any], fields: Mapping[str, Any]) -> Document | None:
        return await self._messages.find_one_and_update(
            query,
            {
                "$set": {**fields, "pendingSince": _now()},
                "$inc": {"rev": 1},
                "$currentDate": {"changedAt": True},
            },
            return_document=ReturnDocument.AFTER,
        )

    async def page(
        self,
        channel_id: str,
        limit: int,
        *,
        before: int | None = None,
        after: int | None = None,
        up_to: int | None = None,
    ) -> list[Document]:
        """Return numbered, undeleted messages, newest first.

        `after` gives the `limit` messages next above it; all bounds are numbers, `before` and
        `after` exclusive, `up_to` inclusive.
        """
        bounds: dict[str, int] = {"$gt": after or 0}
        if before is not None:
            bounds["$lt"] = before
        if up_to is not None:
            bounds["$lte"] = up_to
        query = {"channelId": channel_id, "number": bounds, "deletedAt": None}
        direction = DESCENDING if after is None else ASCENDING
        found = self._messages.find(query).sort("number", direction).limit(limit)
        documents = await found.to_list(limit)
        return documents if after is None else documents[::-1]

    async def number_of(self, channel_id: str, message_id: str) -> int | None:
        """Return the number of a channel's message; None if it has none (yet)."""
        found = await self._messages.find_one({"_id": message_id}, {"channelId": 1, "number": 1})
        if found is None or found["channelId"] != channel_id:
            return None
        return found.get("number")

    async def highest_number(self, channel_id: str) -> int:
        """Return the newest number of a channel, 0 if it has none."""
        query = {"channelId": channel_id, "number": {"$gt": 0}}
        newest = await self._messages.find_one(query, {"number": 1}, sort=[("number", DESCENDING)])
        return 0 if newest is None else int(newest["number"])


def _living(message_id: str, sender_id: str | None) -> dict[str, Any]:
    query = {"_id": message_id, "deletedAt": None}
    return query if sender_id is None else {**query, "senderId": sender_id}


def _now() -> datetime:
    """The time now, in the milliseconds that MongoDB keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
