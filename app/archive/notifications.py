"""The notifications of users: what they were told, and what of it they have read.

Each notification keeps the position of its record, so that one that was published twice is known
from one that is delivered again, and "all" that a user has read is what came before that record.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from pymongo import DESCENDING, UpdateMany, UpdateOne, WriteConcern

from app.archive.documents import Document, format_time
from app.clients import Database


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a record of the topic `notifications`."""

    incarnation: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class NewNotification:
    """A notification as its record tells it. `data` is JSON text."""

    id: str
    user_id: str
    kind: str
    data: str
    created_at: datetime
    place: Place


@dataclass(frozen=True, slots=True)
class Reading:
    """A user has read these notifications (None: all that came before)."""

    user_id: str
    ids: Sequence[str] | None
    read_at: datetime
    place: Place


class Notifications:
    """The collection `notifications`."""

    def __init__(self, database: Database) -> None:
        self._notifications = database["notifications"]
        # The agent's writes are made durable by the barrier at a batch's end.
        self._unconfirmed = self._notifications.with_options(write_concern=WriteConcern(w=1))

    async def page(
        self, user_id: str, limit: int, *, before: Document | None = None
    ) -> list[Document]:
        """Return a user's notifications, newest first, those older than `before` if it is given."""
        query: dict[str, Any] = {"userId": user_id}
        if before is not None:
            at, own = before["createdAt"], before["_id"]
            query["$or"] = [{"createdAt": {"$lt": at}}, {"createdAt": at, "_id": {"$lt": own}}]
            # Given apart: MongoDB does not see by itself that both branches lie below it.
            query["createdAt"] = {"$lte": at}
        order = [("createdAt", DESCENDING), ("_id", DESCENDING)]
        return await self._notifications.find(query).sort(order).limit(limit).to_list(limit)

    async def get(self, user_id: str, notification_id: str) -> Document | None:
        """Return one of a user's notifications."""
        return await self._notifications.find_one({"_id": notification_id, "userId": user_id})

    async def places(self, ids: Iterable[str]) -> dict[str, Place]:
        """Return where the records of those that are there already stood, by id."""
        found = self._notifications.find({"_id": {"$in": list(ids)}}, {"position": 1})
        return {document["_id"]: Place(**document["position"]) async for document in found}

    async def insert(self, notifications: Sequence[NewNotification]) -> None:
        """Insert those that are not there; safe to repeat."""
        if notifications:
            await self._unconfirmed.bulk_write(
                [
                    UpdateOne({"_id": each.id}, {"$setOnInsert": _document(each)}, upsert=True)
                    for each in notifications
                ],
                ordered=False,
            )

    async def mark_read(self, readings: Sequence[Reading]) -> None:
        """Mark notifications as read that are not; safe to repeat at any time.

        Only what came before a reading's record is marked, so that a redelivery marks no more.
        """
        if readings:
            await self._unconfirmed.bulk_write([_mark(reading) for reading in readings])

    async def count_unread(self, user_ids: Collection[str]) -> dict[str, int]:
        """Return how many notifications each user has not read."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"userId": {"$in": list(user_ids)}, "readAt": None}},
            {"$group": {"_id": "$userId", "count": {"$sum": 1}}},
        ]
        rows = {row["_id"]: row["count"] async for row in self._notifications.aggregate(pipeline)}
        return {user_id: rows.get(user_id, 0) for user_id in user_ids}


def render_notification(document: Mapping[str, Any], **more: Any) -> bytes:
    """The JSON of a notification, as its user sees it, with `more` fields behind."""
    read_at = document["readAt"]
    return orjson.dumps(
        {
            "id": document["_id"],
            "kind": document["kind"],
            "data": orjson.Fragment(document["data"]),
            "createdAt": format_time(document["createdAt"]),
            "readAt": None if read_at is None else format_time(read_at),
            **more,
        }
    )


def _document(new: NewNotification) -> Document:
    return {
        "userId": new.user_id,
        "kind": new.kind,
        "data": new.data,
        "createdAt": new.created_at,
        "readAt": None,
        "position": {
            "incarnation": new.place.incarnation,
            "partition": new.place.partition,
            "offset": new.place.offset,
        },
    }


def _mark(reading: Reading) -> UpdateMany:
    query: dict[str, Any] = {
        "userId": reading.user_id,
        "readAt": None,
        "$or": [
            {"position.incarnation": {"$ne": reading.place.incarnation}},
            {"position.offset": {"$lt": reading.place.offset}},
        ],
    }
    if reading.ids is not None:
        query["_id"] = {"$in": list(reading.ids)}
    return UpdateMany(query, {"$set": {"readAt": reading.read_at}})
