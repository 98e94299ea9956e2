"""What MongoDB holds of one channel, as an audit reads it."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime

from pymongo import ASCENDING, DESCENDING

from app.archive.documents import Document
from app.clients import Database
from app.ids import first_id

_IDS_PER_QUERY = 1000
_MESSAGES_PER_QUERY = 100_000


class ChannelArchive:
    """The documents of one channel; every query is served by an index."""

    def __init__(self, database: Database, channel_id: str) -> None:
        self._channels = database["channels"]
        self._messages = database["messages"]
        self._channel_id = channel_id

    async def exists(self) -> bool:
        """Whether the channel has been made, by a call, a message or a join."""
        return await self._channels.find_one({"_id": self._channel_id}, {"_id": 1}) is not None

    async def numbers(self) -> AsyncIterator[int]:
        """Yield every number that is given, ascending."""
        query = {"channelId": self._channel_id, "number": {"$gt": 0}}
        found = self._messages.find(query, {"_id": 0, "number": 1}).sort("number", ASCENDING)
        async for document in found:
            yield document["number"]

    async def newest(self, count: int, up_to: int) -> Sequence[Document]:
        """Return the newest undeleted messages with a number up to `up_to`, newest first."""
        query = {
            "channelId": self._channel_id,
            "number": {"$gt": 0, "$lte": up_to},
            "deletedAt": None,
        }
        return await self._messages.find(query).sort("number", DESCENDING).to_list(count)

    async def changed_since(self, since: datetime) -> Sequence[Document]:
        """Return the messages sent or changed since a time, with what tells their state."""
        fields = dict.fromkeys(("createdAt", "changedAt", "pendingSince", "deadLettered"), 1)
        own = {"channelId": self._channel_id}
        query = {**own, "changedAt": {"$gte": since}, "rev": {"$gt": 1}}
        found = await self._messages.find(query, fields).hint("channel_changes").to_list(None)
        documents = {document["_id"]: document for document in found}
        # Among those of all channels: no index has a channel's messages that were lost before they
        # had a number. In parts, each of which MongoDB reads in time.
        start: str | None = first_id(since)
        while start is not None:
            rest = self._messages.find({"_id": {"$gte": start}}, {"_id": 1}).sort("_id", ASCENDING)
            following = await rest.skip(_MESSAGES_PER_QUERY).to_list(1)
            end = following[0]["_id"] if following else None
            ids = {"$gte": start} if end is None else {"$gte": start, "$lt": end}
            async for document in self._messages.find({**own, "_id": ids}, fields).hint("_id_"):
                documents[document["_id"]] = document
            start = end
        return list(documents.values())

    async def numbers_of(self, message_ids: Collection[str]) -> dict[str, int | None]:
        """Return the number of each of these messages that has a document in this channel."""
        ids, known = list(message_ids), {}
        for start in range(0, len(ids), _IDS_PER_QUERY):
            query = {"_id": {"$in": ids[start : start + _IDS_PER_QUERY]}}
            async for row in self._messages.find(query, {"channelId": 1, "number": 1}):
                if row["channelId"] == self._channel_id:
                    known[row["_id"]] = row.get("number")
        return known
