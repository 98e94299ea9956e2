"""The members of channels."""

from collections import defaultdict
from collections.abc import Collection, Container, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import ASCENDING, DeleteOne, UpdateOne, WriteConcern

from app.archive.documents import Document, format_time
from app.archive.missing import insert_missing
from app.clients import Database

OWNER: Final = "owner"
MEMBER: Final = "member"

BY_CHANNEL: Final = "channel_user"
"""The index by which pairs are found: left to choose, MongoDB tries two of them for every pair."""

Pair = tuple[str, str]
"""Channel id, user id."""


class Members:
    """The collection `members`: channelId, userId, role (owner, member), joinedAt.

    A role says who made the channel; it allows and refuses nothing. A member whose `member_joined`
    Kafka has not acknowledged yet carries `unpublished`.
    """

    def __init__(self, database: Database) -> None:
        self._members = database["members"]
        self._unconfirmed = self._members.with_options(write_concern=WriteConcern(w=1))

    async def add(self, channel_id: str, roles: dict[str, str]) -> None:
        """Make users, by id with their roles, members of a channel; who is one stays as he is."""
        joins = [_join(channel_id, user_id, role) for user_id, role in roles.items()]
        await self._members.bulk_write(joins, ordered=False)

    async def enter(self, pairs: Collection[Pair], is_open: Container[str]) -> list[Pair]:
        """Make users members of those of their channels that are open; return the pairs, of all of
        them, whose membership Kafka may not know.

        Two calls of MongoDB at most, however many users come. Of a pair that somebody else enters
        at the same time the other publishes the membership.
        """
        query = self._members.find(_among(pairs), {"channelId": 1, "userId": 1, "unpublished": 1})
        found = await query.hint(BY_CHANNEL).to_list(None)
        known = {_pair(member) for member in found}
        fresh = [
            _new_member(*pair, MEMBER) for pair in pairs if pair[0] in is_open and pair not in known
        ]
        made = await insert_missing(self._members, fresh) if fresh else []
        return [_pair(m) for m in (*(m for m in found if m.get("unpublished")), *made)]

    async def confirm(self, pairs: Collection[Pair]) -> None:
        """Note that Kafka has these memberships."""
        if pairs:
            # One statement: as an update for each of them it takes MongoDB four times as long.
            await self._unconfirmed.update_many(
                _among(pairs), {"$unset": {"unpublished": ""}}, hint=BY_CHANNEL
            )

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


def _among(pairs: Collection[Pair]) -> dict[str, Any]:
    """The query for the memberships of these pairs."""
    users: defaultdict[str, list[str]] = defaultdict(list)
    channels: defaultdict[str, list[str]] = defaultdict(list)
    for channel_id, user_id in pairs:
        users[channel_id].append(user_id)
        channels[user_id].append(channel_id)
    if len(users) <= len(channels):
        parts = [{"channelId": key, "userId": {"$in": ids}} for key, ids in users.items()]
    else:
        parts = [{"userId": key, "channelId": {"$in": ids}} for key, ids in channels.items()]
    return {"$or": parts}


def _pair(member: Document) -> Pair:
    return member["channelId"], member["userId"]


def _new_member(channel_id: str, user_id: str, role: str) -> Document:
    return {
        "channelId": channel_id,
        "userId": user_id,
        "role": role,
        "joinedAt": datetime.now(UTC),
        "unpublished": True,
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
