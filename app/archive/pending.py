"""Changes that were accepted and never applied, and those that are dead letters."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import WriteConcern

from app.archive.documents import Document
from app.clients import Database

_INDEX: Final = "pending_channel"


@dataclass(frozen=True, slots=True)
class PendingChannel:
    """A channel with pending messages: how many, and since when the oldest one waits."""

    channel_id: str
    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Grave:
    """Why and where a message's record became a dead letter: its place in its source topic."""

    topic: str
    partition: int
    offset: int
    reason: str


class PendingMessages:
    """The documents of the collection `messages` that have `pendingSince`.

    A dead letter takes `pendingSince` away from its message and leaves `deadLettered`, so that
    nobody looks at it any more; a replay turns that round, and so does the next change of the
    message, which has a record of its own.
    """

    def __init__(self, database: Database) -> None:
        self._messages = database["messages"]
        self._unconfirmed = self._messages.with_options(write_concern=WriteConcern(w=1))

    async def channels(self, until: datetime) -> list[PendingChannel]:
        """Return the channels with messages that are pending since before `until`.

        Read from the index alone: 400,000 messages a second (measured on MongoDB 6).
        """
        pipeline: list[dict[str, Any]] = [
            {"$match": {"pendingSince": {"$lt": until}}},
            {
                "$group": {
                    "_id": "$channelId",
                    "count": {"$sum": 1},
                    "since": {"$min": "$pendingSince"},
                }
            },
        ]
        return [
            PendingChannel(row["_id"], row["count"], row["since"])
            async for row in self._messages.aggregate(pipeline, hint=_INDEX)
        ]

    async def oldest(
        self, channel_ids: Collection[str], until: datetime, limit: int
    ) -> Sequence[Document]:
        """Return messages of these channels that are pending since before `until`, in order."""
        query = {"pendingSince": {"$lt": until}, "channelId": {"$in": list(channel_ids)}}
        found = self._messages.find(query).hint(_INDEX).sort("pendingSince", 1).limit(limit)
        return await found.to_list(limit)

    async def postpone(self, message_ids: Sequence[str], until: datetime) -> None:
        """Count the wait of messages from now on, but of those that were changed after `until`."""
        await self._unconfirmed.update_many(
            {"_id": {"$in": list(message_ids)}, "pendingSince": {"$lt": until}},
            {"$set": {"pendingSince": now()}},
        )

    async def bury(self, message_id: str, rev: int, grave: Grave) -> None:
        """Mark a message whose record of `rev` is a dead letter; it is pending no more.

        A message that was changed since stays pending: that change has a record of its own.
        """
        mark = {
            "topic": grave.topic,
            "partition": grave.partition,
            "offset": grave.offset,
            "reason": grave.reason,
            "at": "$$NOW",
        }
        is_later = {"$gt": ["$rev", rev]}
        pending = {"$cond": [is_later, "$pendingSince", "$$REMOVE"]}
        await self._messages.update_one(
            {"_id": message_id, f"applied.{grave.topic}.rev": {"$not": {"$gte": rev}}},
            [{"$set": {"deadLettered": mark, "pendingSince": pending}}],
        )

    async def revive(self, message_id: str) -> bool:
        """Take a message's mark away and count it as pending again; return whether it had one."""
        result = await self._messages.update_one(
            {"_id": message_id, "deadLettered": {"$exists": True}},
            {"$unset": {"deadLettered": ""}, "$set": {"pendingSince": now()}},
        )
        return result.modified_count > 0

    async def abandon(self, message_id: str) -> bool:
        """Take a message's mark away and leave it as it is; return whether it had one."""
        result = await self._messages.update_one(
            {"_id": message_id, "deadLettered": {"$exists": True}},
            {"$unset": {"deadLettered": ""}},
        )
        return result.modified_count > 0


def now() -> datetime:
    """The time now, as `pendingSince` tells it."""
    return datetime.now(UTC)


def ago(seconds: float) -> datetime:
    """The time that many seconds ago."""
    return now() - timedelta(seconds=seconds)
