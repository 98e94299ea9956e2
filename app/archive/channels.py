"""The channels: open, private, and direct ones that are found by their pair of members."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson
from pymongo.errors import DuplicateKeyError

from app.archive.documents import Document, format_time
from app.archive.missing import insert_missing
from app.clients import Database
from app.errors import RequestError

OPEN: Final = "open"
PRIVATE: Final = "private"
DIRECT: Final = "direct"

_KNOWN: Final = 50_000
"""Channels whose kind a process remembers: a few MB."""


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A channel that a client wants; `pair` are the two members of a direct one, which nobody
    owns."""

    id: str
    kind: str
    name: str | None
    server_id: str | None
    owner_id: str | None
    pair: tuple[str, str] | None = None


class Channels:
    """The collection `channels`: _id, kind, name, serverId, ownerId, pair, createdAt.

    A channel's kind never changes, so what a process has seen of it stays true.
    """

    def __init__(self, database: Database) -> None:
        self._channels = database["channels"]
        self._kinds: dict[str, str] = {}

    async def create(self, wanted: NewChannel) -> tuple[Document, bool]:
        """Make a channel, or find the one of this id, or of this pair; return whether it is new.

        Raises:
            RequestError: `conflict`, the id is that of a channel of another kind.
        """
        document: Document = {
            "_id": wanted.id,
            "kind": wanted.kind,
            "name": wanted.name,
            "serverId": wanted.server_id,
            "ownerId": wanted.owner_id,
            "createdAt": datetime.now(UTC),
        }
        if wanted.pair is not None:
            document["pair"] = pair_key(*wanted.pair)
        try:
            await self._channels.insert_one(document)
        except DuplicateKeyError:
            return await self._find_rival(document), False
        return document, True

    async def _find_rival(self, document: Document) -> Document:
        rival = None
        if "pair" in document:
            rival = await self._channels.find_one({"pair": document["pair"]})
        if rival is None:
            rival = await self._channels.find_one({"_id": document["_id"]})
        if rival is None or (rival["kind"], rival.get("pair")) != (
            document["kind"],
            document.get("pair"),
        ):
            raise RequestError("conflict", "this id is that of another kind of channel")
        return rival

    async def find(self, channel_id: str) -> Document | None:
        """Return a channel."""
        return await self._channels.find_one({"_id": channel_id})

    async def pair(self, channel_id: str) -> list[str]:
        """Return the two users of a direct channel, also one who has left it; none of another."""
        channel = await self._channels.find_one({"_id": channel_id}, {"pair": 1})
        return list(orjson.loads((channel or {}).get("pair", "[]")))

    def has_seen(self, channel_id: str) -> bool:
        """Whether this process knows that there is such a channel."""
        return channel_id in self._kinds

    async def of_server(self, server_id: str) -> list[str]:
        """Return the ids of a server's channels."""
        found = self._channels.find({"serverId": server_id}, {"_id": 1})
        return [channel["_id"] async for channel in found]

    async def kinds(self, channel_ids: Collection[str]) -> dict[str, str]:
        """Return the kinds of those channels that are there, by id."""
        unknown = [channel_id for channel_id in channel_ids if channel_id not in self._kinds]
        if unknown:
            async for found in self._channels.find({"_id": {"$in": unknown}}, {"kind": 1}):
                self._remember(found["_id"], found["kind"])
        return {c: self._kinds[c] for c in channel_ids if c in self._kinds}

    async def ensure(self, channel_ids: Collection[str]) -> dict[str, str]:
        """Make those channels that are not there, open; return the kinds of all, by id.

        Costs nothing for channels that this process has seen before.
        """
        kinds = await self.kinds(channel_ids)
        missing = [channel_id for channel_id in channel_ids if channel_id not in kinds]
        if not missing:
            return kinds
        # Inserts: MongoDB takes a sixth of what upserts cost it.
        made = await insert_missing(self._channels, [_open(channel_id) for channel_id in missing])
        for document in made:
            self._remember(document["_id"], OPEN)
        # Whatever somebody else has made in between is found.
        return await self.kinds(channel_ids)

    def _remember(self, channel_id: str, kind: str) -> None:
        if len(self._kinds) >= _KNOWN:
            del self._kinds[next(iter(self._kinds))]
        self._kinds[channel_id] = kind


def pair_key(one: str, other: str) -> str:
    """What a direct channel is found by, the same for both orders."""
    # Text: a unique index on an array would look at each member alone.
    return orjson.dumps(sorted((one, other))).decode()


def render_channel(document: Document) -> bytes:
    """The JSON of a channel, as clients see it."""
    return orjson.dumps(
        {
            "id": document["_id"],
            "kind": document["kind"],
            "name": document["name"],
            "serverId": document["serverId"],
            "ownerId": document["ownerId"],
            "createdAt": format_time(document["createdAt"]),
        }
    )


def _open(channel_id: str) -> Document:
    return {
        "_id": channel_id,
        "kind": OPEN,
        "name": None,
        "serverId": None,
        "ownerId": None,
        "createdAt": datetime.now(UTC),
    }
