"""What a client missed for so long that no log has it: read from the messages themselves."""

from collections.abc import Sequence
from datetime import datetime

from pymongo import ASCENDING

from app.archive.documents import Document
from app.clients import Database


class History:
    """Queries of the collection `messages` for a resume."""

    def __init__(self, database: Database) -> None:
        self._messages = database["messages"]

    async def between(
        self, channel_id: str, after: int, up_to: int, limit: int
    ) -> Sequence[Document]:
        """Return messages with a number above `after` up to `up_to`, oldest first, deleted ones
        too."""
        query = {"channelId": channel_id, "number": {"$gt": after, "$lte": up_to}}
        return await self._messages.find(query).sort("number", ASCENDING).to_list(limit)

    async def changed(
        self, channel_id: str, up_to: int, since: datetime, limit: int
    ) -> Sequence[str]:
        """Return the ids of messages with a number up to `up_to` that were changed since a time.

        A message of rev 1 was never changed after its creation, which is in the numbers.
        """
        query = {
            "channelId": channel_id,
            "changedAt": {"$gte": since},
            "number": {"$lte": up_to},
            "rev": {"$gt": 1},
        }
        # Without the hint the index of numbers may be taken, and all of a channel's life read.
        found = self._messages.find(query, {"_id": 1}).hint("channel_changes").limit(limit)
        return [document["_id"] async for document in found]

    async def find(self, message_ids: Sequence[str]) -> Sequence[Document]:
        """Return messages by their ids, in the order of their numbers."""
        query = {"_id": {"$in": list(message_ids)}}
        return await self._messages.find(query).sort("number", ASCENDING).to_list(len(message_ids))
