"""The messages as the agents use them: their numbers, and the marks of what has been applied."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bson import ObjectId
from pymongo import DESCENDING, UpdateOne, WriteConcern
from pymongo.errors import NotPrimaryError, WriteError

from app.archive.applied import (
    Applied,
    in_groups,
    require_number,
    require_numbers,
    write,
    write_sent,
)
from app.archive.documents import Document
from app.archive.threads import Threads
from app.clients import Database, for_threads
from app.errors import PartitionLost
from app.gathering import Gathering
from app.outages import NOT_PRIMARY_CODES

_CHANNELS_PER_QUERY: Final = 100
_DUPLICATE_KEY: Final = 11000
_CONFIRMED_AT_ONCE: Final = 1000
_LATE: Final = timedelta(seconds=30)
"""Half of what a history resume looks back beyond its cursor (docs/protocol.md)."""
_IMMUTABLE: Final = 66
"""What `require_numbers` fails with."""

Election = ObjectId | None
"""Which election made the primary that answered; None behind a router, which does not tell."""


@dataclass(frozen=True, slots=True)
class Newest:
    """A channel's newest number, and the message that has it; None where MongoDB has none."""

    number: int = 0
    message_id: str | None = None


class NumberConflict(Exception):  # noqa: N818 - it is what happened
    """Somebody else numbers the same channel."""


class Overtaken(Exception):  # noqa: N818 - it is what happened
    """Messages were marked after they had been read: what was planned on them is worth nothing.

    MongoDB goes on with a command whose caller has given up (it was frozen, the connection broke),
    also while its successor reads.
    """


class Elected(PartitionLost):
    """MongoDB has elected, and marks that were not durable yet are lost, or may be.

    The numbers that this process remembers are worth nothing now; what is not acknowledged must
    come again, from its beginning.
    """


class Marks:
    """The collection `messages`, and the barrier behind which a batch is durable.

    Marks are written with `w:1`, and the barrier with a majority. A barrier says something of
    earlier writes only if the same primary took both: a new primary may never have seen the marks,
    and takes the barrier all the same. So both answers name the election that made their primary
    (`electionId`, which every primary of a replica set sends with the answer to a write, also over
    a direct connection), and a barrier of another election fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._messages = database["messages"]
        self._unconfirmed = self._messages.with_options(write_concern=WriteConcern(w=1))
        self._barriers = database["barriers"]
        self._confirming = Gathering(self._write_barrier, _CONFIRMED_AT_ONCE)
        self._in_threads = for_threads(self._messages).database
        self._threads = Threads("marks")

    async def find_all(self, message_ids: Iterable[str]) -> dict[str, Document]:
        """Return the documents of many messages, by id."""
        found = self._messages.find({"_id": {"$in": list(message_ids)}})
        return {document["_id"]: document async for document in found}

    async def newest(self, channel_ids: Sequence[str]) -> dict[str, Newest]:
        """Return the newest number of each channel."""
        # As `NewestNumbers` finds them, which says why; it needs no message.
        pipeline: list[dict[str, Any]] = [
            {"$match": {"channelId": {"$in": list(channel_ids)}, "number": {"$gt": 0}}},
            {"$sort": {"channelId": DESCENDING, "number": DESCENDING}},
            {
                "$group": {
                    "_id": "$channelId",
                    "number": {"$first": "$number"},
                    "messageId": {"$first": "$_id"},
                }
            },
        ]
        newest = dict.fromkeys(channel_ids, Newest())
        async for row in self._messages.aggregate(pipeline):
            newest[row["_id"]] = Newest(row["number"], row["messageId"])
        return newest

    async def _seek(self, channel_ids: Sequence[str], query: dict[str, Any]) -> dict[str, int]:
        # One index seek a channel and one round trip a hundred: a `$group` under such a query walks
        # through all their messages (measured on MongoDB 6: 105 ms against 26 ms for 100 channels
        # of 1,000 messages, and growing with them).
        highest = dict.fromkeys(channel_ids, 0)
        for start in range(0, len(channel_ids), _CHANNELS_PER_QUERY):
            seeks = [
                _seek_newest(c, query) for c in channel_ids[start : start + _CHANNELS_PER_QUERY]
            ]
            async for row in self._messages.aggregate([{"$match": {"_id": None}}, *seeks]):
                highest[row["channelId"]] = row["number"]
        return highest

    async def numbers_before(
        self, channel_ids: Sequence[str], incarnation: str, partition: int, offset: int
    ) -> dict[str, int]:
        """Return the newest number that each channel had before a record of its partition.

        Not the newest now: what is delivered again must come to the same as the first time.
        """
        later = {"numberedBy.0": incarnation, "numberedBy.1": partition,
                 "numberedBy.2": {"$gte": offset}}  # fmt: skip
        # Most joins are of channels without messages, of which nothing is to be left out.
        newest = await self.newest(channel_ids)
        used = [channel_id for channel_id, found in newest.items() if found.number]
        return {**dict.fromkeys(channel_ids, 0), **(await self._seek(used, {"$nor": [later]}))}

    async def apply(self, marks: Sequence[Applied]) -> Election:
        """Write marks of a batch, and numbers if there are any, each only forward; safe to repeat.

        Returns the election whose primary has them; they are durable after `confirm`.

        Raises:
            NumberConflict: another worker gave one of these numbers to another message.
        """
        answer = await self._write([write(group, as_read=False) for group in in_groups(marks)])
        return answer.get("electionId")

    async def number(self, marks: Sequence[Applied], before: Collection[str] = ()) -> Election:
        """As `apply`, of marks and numbers that rest on what the messages were a moment ago.

        `before` are the messages whose numbers the first of these follow. A primary that does not
        have those, since it was elected without them, is given none of these.

        Raises:
            NumberConflict: as `apply`.
            Overtaken: one of them is not what it was; read them again.
            Elected: a number that these follow is lost.
        """
        updates = [write(group, as_read=True) for group in in_groups(marks)]
        if before:
            updates.insert(0, require_numbers(before))
        answer = await self._write(updates)
        if answer["n"] < len(marks):
            raise Overtaken
        return answer.get("electionId")

    async def number_few(self, marks: Sequence[Applied], before: Collection[str]) -> Election:
        """As `number`, of a few messages that nobody has read: they are given their numbers if they
        are as they were sent, in the order of `marks`, as far as that is so.

        Raises:
            NumberConflict, Elected: as `number`.
            Overtaken: one of them is not as it was sent; it and those behind it have no number.
        """
        updates = [require_numbers(before)] if before else []
        first = len(updates)
        for mark in marks:
            updates += [write_sent(mark), require_number(mark)]
        del updates[-1]  # Of the last one, the count of what was found tells it.
        answer = await self._update(updates)
        for failure in answer.get("writeErrors", ()):
            place = failure["index"] - first
            if place > 0 and place % 2 == 1:
                raise Overtaken
            _raise(failure)
        if answer["n"] < len(updates) - first:
            raise Overtaken
        return answer.get("electionId")

    async def _write(self, updates: Sequence[dict[str, Any]]) -> dict[str, Any]:
        answer = await self._update(updates)
        for failure in answer.get("writeErrors", ()):
            _raise(failure)
        return answer

    async def _update(self, updates: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return await self._threads.call(self._send, updates)

    def _send(self, updates: Sequence[dict[str, Any]]) -> dict[str, Any]:
        # The plain command: a bulk write of the driver's does not pass on what the primary is.
        answer: dict[str, Any] = self._in_threads.command(
            "update", "messages", updates=updates, ordered=True, writeConcern={"w": 1}
        )
        return answer

    async def refresh(self, documents: Iterable[Document]) -> None:
        """Have messages that were changed long ago count as changed now; safe to repeat.

        For changes that are appended now and not marked before: a history resume would look for
        them where its cursor's time is, and not find them.
        """
        until = datetime.now(UTC) - _LATE
        # One of rev 1 is found by its number.
        late = [each["_id"] for each in documents if each["rev"] > 1 and each["changedAt"] < until]
        if late:
            change = {"$currentDate": {"changedAt": True}}
            await self._unconfirmed.update_many({"_id": {"$in": late}}, change)

    async def leave(self, marks: Sequence[Applied]) -> None:
        """Mark records as dealt with, and their messages as pending still; safe to repeat.

        For changes that cannot be applied now: the reconciler publishes them again, and a
        redelivery of their records is known as one. Returns when a majority has it.
        """
        await self._messages.bulk_write(
            [UpdateOne(_behind(mark), {"$set": {mark.path: mark.position}}) for mark in marks]
        )

    async def election(self) -> Election:
        """Return the election of the primary now: what is read after it is in what it has."""
        hello = await self._database.command("hello")
        return hello.get("electionId")

    async def confirm(self, owner: str, *elections: Election) -> None:
        """Return when a majority has everything that the primaries of `elections` had before.

        Raises:
            Elected: there is another primary now; what was written must not be acknowledged.
        """
        if elections and {await self._confirming.ask(owner)} != set(elections):
            raise Elected("MongoDB has elected while a batch was written; it comes again")

    async def _write_barrier(self, owners: Sequence[str]) -> list[Election]:
        # A write on a majority waits for the journals and the network: one is as good a barrier for
        # all partitions that asked before it began.
        change = {"$currentDate": {"at": True}}
        result = await self._barriers.update_one({"_id": owners[0]}, change, upsert=True)
        return [(result.raw_result or {}).get("electionId")] * len(owners)


def _raise(failure: dict[str, Any]) -> None:
    code, text = failure["code"], failure.get("errmsg", "")
    if code == _DUPLICATE_KEY:
        raise NumberConflict
    if code == _IMMUTABLE:
        raise Elected("MongoDB has elected, and numbers that were given are lost")
    if code in NOT_PRIMARY_CODES:
        raise NotPrimaryError(text, failure)
    raise WriteError(text, code, failure)


def _seek_newest(channel_id: str, query: dict[str, Any]) -> dict[str, Any]:
    pipeline: list[dict[str, Any]] = [
        {"$match": {"channelId": channel_id, "number": {"$gt": 0}, **query}},
        {"$sort": {"number": DESCENDING}},
        {"$limit": 1},
        {"$project": {"channelId": 1, "number": 1}},
    ]
    return {"$unionWith": {"coll": "messages", "pipeline": pipeline}}


def _behind(mark: Applied) -> dict[str, Any]:
    return {"_id": mark.message_id, "$nor": [{f"{mark.path}.rev": {"$gte": mark.rev}}]}
