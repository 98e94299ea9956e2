"""Concurrent inserts in groups, and changes by their sender, on a real MongoDB."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from bson.errors import InvalidDocument
from pymongo import WriteConcern
from pymongo.errors import (
    AutoReconnect,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WriteError,
)

from app.archive.group_commit import GroupCommit
from app.archive.indexes import ensure_indexes
from app.archive.messages import Draft, Messages
from app.clients import Database
from app.errors import RequestError


def draft(content: str = "hi", key: str | None = None) -> Draft:
    return Draft(channel_id="c", sender_id="u", sender_name="U", content=content, key=key)


async def test_concurrent_inserts_are_written_in_few_groups(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = database["things"]
    groups: list[int] = []
    insert_group = GroupCommit._insert_group

    def count(self: GroupCommit, documents: list[Any]) -> Any:
        groups.append(len(documents))
        return insert_group(self, documents)

    monkeypatch.setattr(GroupCommit, "_insert_group", count)
    inserts = GroupCommit(collection)
    await asyncio.gather(*(inserts.insert({"_id": n}) for n in range(1200)))
    assert await collection.count_documents({}) == 1200
    assert groups == [500, 500, 200]


async def test_messages_of_a_group_are_in_the_order_of_their_ids(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[str] = []
    insert_group = GroupCommit._insert_group

    def note(self: GroupCommit, documents: list[Any]) -> Any:
        ids.extend(raw["_id"] for raw in documents)
        return insert_group(self, documents)

    monkeypatch.setattr(GroupCommit, "_insert_group", note)
    messages = Messages(database)
    await asyncio.gather(*(messages.insert(draft()) for _ in range(600)))
    assert len(ids) == 600
    assert ids == sorted(ids)


async def test_insert_that_mongodb_refuses_fails_alone(database: Database) -> None:
    inserts = GroupCommit(database["things"])
    await inserts.insert({"_id": 5})
    answers = await asyncio.gather(
        *(inserts.insert({"_id": n}) for n in range(10)), return_exceptions=True
    )
    assert [n for n, answer in enumerate(answers) if answer is not None] == [5]
    assert isinstance(answers[5], DuplicateKeyError)
    assert await database["things"].count_documents({}) == 10


async def test_insert_that_cannot_be_encoded_fails_alone(database: Database) -> None:
    inserts = GroupCommit(database["things"])
    answers = await asyncio.gather(
        inserts.insert({"_id": 1}),
        inserts.insert({"_id": 2, "value": object()}),
        inserts.insert({"_id": 3, "at": datetime.now(UTC)}),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [type(None), InvalidDocument, type(None)]
    assert await database["things"].count_documents({}) == 2


async def test_cancelled_insert_takes_no_other_with_it(database: Database) -> None:
    inserts = GroupCommit(database["things"])
    tasks = [asyncio.create_task(inserts.insert({"_id": n})) for n in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [n for n, answer in enumerate(answers) if answer is not None]
    assert failed == [3]
    assert await database["things"].count_documents({}) >= 9


async def test_insert_whose_caller_goes_while_it_waits_is_not_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_group, may_go_on = GroupCommit._insert_group, threading.Event()

    def hold(self: GroupCommit, documents: list[Any]) -> Any:
        assert may_go_on.wait(10)
        return insert_group(self, documents)

    monkeypatch.setattr(GroupCommit, "_insert_group", hold)
    inserts = GroupCommit(database["things"])
    first = asyncio.create_task(inserts.insert({"_id": 1}))
    await asyncio.sleep(0.05)
    waiting = [asyncio.create_task(inserts.insert({"_id": n})) for n in (2, 3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    may_go_on.set()
    await asyncio.gather(first, waiting[1])
    assert await database["things"].distinct("_id") == [1, 3]


async def test_insert_after_the_writer_has_come_to_rest_is_written(database: Database) -> None:
    inserts = GroupCommit(database["things"])
    for n in range(20):
        await inserts.insert({"_id": n})
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await inserts.insert({"_id": 20})
    assert await database["things"].count_documents({}) == 21


async def test_insert_refused_by_the_servers_rules_fails_alone(database: Database) -> None:
    await database.create_collection("ruled", validator={"size": {"$lt": 10}})
    inserts = GroupCommit(database["ruled"])
    answers = await asyncio.gather(
        *(inserts.insert({"_id": n, "size": n}) for n in range(12)), return_exceptions=True
    )
    assert [n for n, answer in enumerate(answers) if isinstance(answer, WriteError)] == [10, 11]
    assert await database["ruled"].count_documents({}) == 10


class Flaky:
    """A database whose connection breaks at a command, before or after MongoDB has executed it."""

    def __init__(
        self, database: Database, *, breaks: int, executes: bool, error: PyMongoError | None = None
    ) -> None:
        self.database, self.breaks, self.executes = database.delegate, breaks, executes
        self.error = error or AutoReconnect("broken")

    def command(self, *arguments: Any, **options: Any) -> Any:
        self.breaks -= 1
        if self.breaks < 0 or self.executes:
            reply = self.database.command(*arguments, **options)
        if self.breaks >= 0:
            raise self.error
        return reply


@pytest.mark.parametrize("executes", [False, True])
async def test_group_whose_connection_breaks_is_written_once_all_the_same(
    database: Database, executes: bool
) -> None:
    things = database["things"]
    await things.create_index("key", unique=True)
    await things.insert_one({"_id": "before", "key": 3})
    inserts = GroupCommit(things)
    inserts._database = Flaky(database, breaks=1, executes=executes)  # type: ignore[assignment]
    answers = await asyncio.gather(
        *(inserts.insert({"_id": n, "key": n}) for n in range(5)), return_exceptions=True
    )
    assert [type(answer) for answer in answers if answer is not None] == [DuplicateKeyError]
    assert isinstance(answers[3], DuplicateKeyError)
    assert await things.distinct("_id") == [0, 1, 2, 4, "before"]


async def test_group_whose_connection_stays_broken_fails(database: Database) -> None:
    inserts = GroupCommit(database["things"])
    inserts._database = Flaky(database, breaks=2, executes=False)  # type: ignore[assignment]
    answers = await asyncio.gather(
        *(inserts.insert({"_id": n}) for n in range(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [AutoReconnect] * 3


async def test_group_that_a_router_could_not_pass_on_is_sent_again(database: Database) -> None:
    inserts = GroupCommit(database["things"])
    unreachable = OperationFailure("shard is away", 6)
    inserts._database = Flaky(  # type: ignore[assignment]
        database, breaks=1, executes=True, error=unreachable
    )
    await asyncio.gather(*(inserts.insert({"_id": n}) for n in range(3)))
    assert await database["things"].count_documents({}) == 3


class SteppingDown:
    """A database whose primary steps down once, after it has written."""

    def __init__(self, database: Database, field: str) -> None:
        self.database, self.field, self.replies = database.delegate, field, 0

    def command(self, *arguments: Any, **options: Any) -> Any:
        reply = self.database.command(*arguments, **options)
        self.replies += 1
        if self.replies == 1:
            error = {"index": 1, "code": 189, "errmsg": "stepping down"}
            reply[self.field] = [error] if self.field == "writeErrors" else error
        return reply


@pytest.mark.parametrize("field", ["writeErrors", "writeConcernError"])
async def test_group_whose_primary_steps_down_meanwhile_is_sent_again(
    database: Database, field: str
) -> None:
    inserts = GroupCommit(database["things"])
    inserts._database = stand_in = SteppingDown(database, field)  # type: ignore[assignment]
    await asyncio.gather(*(inserts.insert({"_id": n}) for n in range(3)))
    assert stand_in.replies == 2
    assert await database["things"].count_documents({}) == 3


async def test_insert_that_no_majority_confirms_in_time_fails(database: Database) -> None:
    concern = WriteConcern(w=2, wtimeout=10)
    inserts = GroupCommit(database["things"].with_options(write_concern=concern))
    with pytest.raises(PyMongoError):
        await inserts.insert({"_id": 1})


async def test_insert_with_one_key_a_hundred_times_makes_one_document(database: Database) -> None:
    await ensure_indexes(database)
    messages = Messages(database)
    answers = await asyncio.gather(*(messages.insert(draft(key="k")) for _ in range(100)))
    assert sum(is_new for _, is_new in answers) == 1
    assert len({document["_id"] for document, _ in answers}) == 1
    assert await database["messages"].count_documents({}) == 1


async def test_insert_of_another_message_under_a_key_is_a_conflict(database: Database) -> None:
    await ensure_indexes(database)
    messages = Messages(database)
    await messages.insert(draft("one", key="k"))
    with pytest.raises(RequestError) as raised:
        await messages.insert(draft("two", key="k"))
    assert raised.value.code == "idempotency_conflict"


async def test_edit_that_changes_nothing_keeps_the_rev(database: Database) -> None:
    messages = Messages(database)
    document, _ = await messages.insert(draft("one"))
    assert await messages.edit(document["_id"], {"content": "one"}, sender_id="u") is None
    assert await messages.edit(document["_id"], {}, sender_id="u") is None
    changed = await messages.edit(document["_id"], {"content": "two"}, sender_id="u")
    assert changed is not None
    assert (changed["rev"], changed["content"]) == (2, "two")


async def test_edit_and_delete_by_another_change_nothing(database: Database) -> None:
    messages = Messages(database)
    document, _ = await messages.insert(draft("one"))
    assert await messages.edit(document["_id"], {"content": "two"}, sender_id="v") is None
    assert await messages.delete(document["_id"], sender_id="v") is None
    kept = await messages.get(document["_id"])
    assert kept is not None
    assert (kept["rev"], kept.get("deletedAt")) == (1, None)
