"""The members of channels."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import ASCENDING, DeleteOne, UpdateOne, WriteConcern

from app.archive.documents import Document, format_time
from app.clients import Database

ENTERING: Final = 4
"""Users whose first joins are looked at side by side."""

OWNER: Final = "owner"
MEMBER: Final = "member"


class Members:
    """The collection `members`: channelId, userId, role (owner, moderator, member), joinedAt.

    A member whose `member_joined` Kafka has not acknowledged yet carries `unpublished`.
    """

    def __init__(self, database: Database) -> None:
        self._members = database["members"]
        self._unconfirmed = self._members.with_options(write_concern=WriteConcern(w=1))
        # After a gateway's death its clients join elsewhere by thousands, and the driver answers
        # everybody in turn: a post must not wait behind them all.
        self._turns = asyncio.Semaphore(ENTERING)

    async def add(self, channel_id: str, roles: dict[str, str]) -> None:
        """Make users, by id with their roles, members of a channel; who is one stays as he is."""
        joins = [_join(channel_id, user_id, role) for user_id, role in roles.items()]
        await self._members.bulk_write(joins, ordered=False)

    async def enter(
        self, user_id: str, channel_ids: Collection[str], is_open: Collection[str]
    ) -> list[str]:
        """Make a user a member of the open ones of these channels; return those of all of them
        whose membership Kafka may not know."""
        async with self._turns:
            return await self._enter(user_id, channel_ids, is_open)

    async def _enter(
        self, user_id: str, channel_ids: Collection[str], is_open: Collection[str]
    ) -> list[str]:
        mine = {"userId": user_id, "channelId": {"$in": list(channel_ids)}}
        found = self._members.find(mine, {"channelId": 1, "unpublished": 1})
        known = {member["channelId"]: member.get("unpublished", False) async for member in found}
        fresh = [channel_id for channel_id in is_open if channel_id not in known]
        if fresh:
            joins = [_join(channel_id, user_id, MEMBER) for channel_id in fresh]
            await self._members.bulk_write(joins, ordered=False)
        return [*fresh, *(channel_id for channel_id, waits in known.items() if waits)]

    async def confirm(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Note that Kafka has these memberships: (channel id, user id)."""
        taken = {"$unset": {"unpublished": ""}}
        updates = [
            UpdateOne({"channelId": channel_id, "userId": user_id}, taken)
            for channel_id, user_id in pairs
        ]
        if updates:
            await self._unconfirmed.bulk_write(updates, ordered=False)

    async def note(self, joined: Mapping[tuple[str, str], datetime]) -> None:
        """Add memberships that messages imply: (channel id, user id) -> since when.

        Durable after a barrier.
        """
        joins = [_join(*pair, MEMBER, joined_at=at) for pair, at in joined.items()]
        await self._unconfirmed.bulk_write(joins, ordered=False)

    async def forget(self, left: Mapping[tuple[str, str], datetime]) -> None:
        """End memberships, but those that began later: (channel id, user id) -> the end.

        Durable after a barrier.
        """
        leaves = [
            DeleteOne({"channelId": channel_id, "userId": user_id, "joinedAt": {"$lte": at}})
            for (channel_id, user_id), at in left.items()
        ]
        await self._unconfirmed.bulk_write(leaves, ordered=False)

    async def remove(self, channel_id: str, user_id: str) -> None:
        """End a membership, if there is one."""
        await self._members.delete_one({"channelId": channel_id, "userId": user_id})

    async def find(self, channel_id: str, user_id: str) -> Document | None:
        """Return a membership."""
        return await self._members.find_one({"channelId": channel_id, "userId": user_id})

    async def unpublished(self, channel_id: str, user_ids: Collection[str]) -> list[str]:
        """Return those of these members of whom Kafka may not know."""
        query = {"channelId": channel_id, "userId": {"$in": list(user_ids)}, "unpublished": True}
        return [member["userId"] async for member in self._members.find(query, {"userId": 1})]

    async def count(self, channel_id: str) -> int:
        """Return how many members a channel has."""
        return await self._members.count_documents({"channelId": channel_id})

    async def channels_of(self, user_id: str) -> list[str]:
        """Return the ids of the channels that a user is a member of."""
        found = self._members.find({"userId": user_id}, {"channelId": 1})
        return [member["channelId"] async for member in found]

    async def page(self, channel_id: str, limit: int, after: str = "") -> Sequence[Document]:
        """Return up to `limit` members, by user id, with ids above `after`."""
        query = {"channelId": channel_id, "userId": {"$gt": after}}
        return await self._members.find(query).sort("userId", ASCENDING).to_list(limit)


def describe_member(document: Document) -> dict[str, str]:
    """A member as clients see it."""
    return {
        "userId": document["userId"],
        "role": document["role"],
        "joinedAt": format_time(document["joinedAt"]),
    }


def _join(
    channel_id: str, user_id: str, role: str, *, joined_at: datetime | None = None
) -> UpdateOne:
    """Without `joined_at`: now, and Kafka does not know of it yet."""
    fields: dict[str, Any] = {"role": role, "joinedAt": joined_at or datetime.now(UTC)}
    if joined_at is None:
        fields["unpublished"] = True
    return UpdateOne(
        {"channelId": channel_id, "userId": user_id}, {"$setOnInsert": fields}, upsert=True
    )
