"""The barrier behind a batch, over elections of a real MongoDB."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, PyMongoError
from redis.asyncio import Redis as RedisClient

from app.archive.applied import Applied
from app.archive.indexes import ensure_indexes
from app.archive.marks import Elected, Election, Marks, NumberConflict, Overtaken
from app.archive.messages import Draft, Messages
from app.clients import Database
from app.settings import Settings
from app.topics import partition_of
from tests.support.messages_worker import PARTITIONS, Bench, bench, running_worker
from tests.support.waiting import until


def mark(message_id: str, number: int, offset: int = 0) -> Applied:
    return Applied(message_id, "messages", 1, "aaaaaaaa", 0, offset, number)


async def insert(database: Database) -> str:
    document, _ = await Messages(database).insert(Draft("c", "u1", "Ann", "hi"))
    return str(document["_id"])


async def elect(database: Database) -> None:
    """Have the only member step down, and wait until it has elected itself again."""
    with suppress(AutoReconnect):  # It may close the connections.
        await database.client.admin.command("replSetStepDown", 1, force=True)
    async with asyncio.timeout(30):
        while True:
            with suppress(PyMongoError):
                if (await database.client.admin.command("hello"))["isWritablePrimary"]:
                    return
            await asyncio.sleep(0.05)


async def test_barrier_of_the_same_primary_confirms(database: Database) -> None:
    marks = Marks(database)
    election = await marks.apply([mark(await insert(database), 1)])
    assert election is not None
    assert election == await marks.election()
    await marks.confirm("worker", election)


async def test_barrier_after_an_election_fails(database: Database) -> None:
    marks = Marks(database)
    election = await marks.apply([mark(await insert(database), 1)])
    await elect(database)
    with pytest.raises(Elected):
        await marks.confirm("worker", election)
    await marks.confirm("worker", await marks.election())


async def test_barriers_that_come_while_one_is_under_way_are_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks, written = Marks(database), list[int]()
    write = marks._confirming._ask_all

    async def count_and_write(owners: list[str]) -> Any:
        written.append(len(owners))
        return await write(owners)

    monkeypatch.setattr(marks._confirming, "_ask_all", count_and_write)
    election = await marks.election()
    first = asyncio.create_task(marks.confirm("worker", election))
    while not written:
        await asyncio.sleep(0)
    later = [marks.confirm("worker", election) for _ in range(5)]
    wrong = marks.confirm("worker", ObjectId())
    *confirmed, refused = await asyncio.gather(first, *later, wrong, return_exceptions=True)
    assert confirmed == [None] * 6
    assert isinstance(refused, Elected)
    assert written == [1, 6]


async def test_number_that_another_message_has_is_a_conflict(database: Database) -> None:
    await ensure_indexes(database)
    marks = Marks(database)
    await marks.apply([mark(await insert(database), 1)])
    with pytest.raises(NumberConflict):
        await marks.apply([mark(await insert(database), 1, offset=1)])


@pytest.fixture
async def at(settings: Settings, database: Database, redis: RedisClient) -> AsyncIterator[Bench]:
    async with bench(settings, database, redis) as made:
        yield made


async def test_batch_over_an_election_is_not_acknowledged_and_keeps_its_numbers(
    at: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The election comes between the marks and the barrier; the marks are rolled back."""
    number = Marks.number

    async def number_and_elect(self: Marks, *arguments: Any) -> Election:
        election = await number(self, *arguments)
        await elect(at.database)
        return election

    documents = [await at.insert("c", content) for content in ("one", "two")]
    with monkeypatch.context() as patch:
        patch.setattr(Marks, "number", number_and_elect)
        for document in documents:
            await at.publish("message_created", document)
        async with running_worker(at, reconciles=False) as app:
            await asyncio.wait_for(app._crashed.wait(), 40)
            assert isinstance(app.crash_reason, Elected)
    assert await committed(at) == 0
    shown = await at.frames("c")
    # One member cannot roll back; this is what the documents of another primary look like.
    for document in documents:
        await at.documents.replace_one({"_id": document["_id"]}, document)
    async with running_worker(at, reconciles=False):
        await until(lambda: is_all_numbered(at))
    assert [number for _, number, _ in shown] == list(range(1, len(shown) + 1))
    found = await at.documents.find().sort("number", 1).to_list(None)
    assert [(d["number"], d["content"]) for d in found] == [(1, "one"), (2, "two")]
    assert await at.frames("c") == [("message", 1, "one"), ("message", 2, "two")]


async def test_number_of_a_message_that_was_marked_meanwhile_is_overtaken(
    database: Database,
) -> None:
    marks = Marks(database)
    message_id = await insert(database)
    await marks.number([mark(message_id, 1)])
    with pytest.raises(Overtaken):
        await marks.number([mark(message_id, 2)])
    with pytest.raises(Overtaken):  # Also by an edit that comes with its creation.
        await marks.number([replace(mark(message_id, 2), rev=2)])
    document = await database["messages"].find_one({"_id": message_id})
    assert document is not None
    assert (document["number"], document["applied"]["messages"]["rev"]) == (1, 1)


async def test_number_behind_one_that_is_lost_is_not_given(database: Database) -> None:
    marks = Marks(database)
    one, two, three = [await insert(database) for _ in range(3)]
    await marks.number([mark(one, 1)])
    await marks.number([mark(two, 2)], [one])
    await database["messages"].update_one({"_id": two}, {"$unset": {"number": ""}})
    with pytest.raises(Elected):
        await marks.number([mark(three, 3)], [one, two])
    found = await database["messages"].find_one({"_id": three})
    assert found is not None
    assert "number" not in found
    assert "applied" not in found


async def test_edit_of_message_that_has_lost_its_number_is_overtaken(database: Database) -> None:
    """It was read with one."""
    marks = Marks(database)
    message_id = await insert(database)
    edited = Applied(message_id, "messages", 2, "aaaaaaaa", 0, 1, None)
    with pytest.raises(Overtaken):
        await marks.number([edited])
    await marks.number([mark(message_id, 1)])
    await marks.number([edited])
    document = await database["messages"].find_one({"_id": message_id})
    assert document is not None
    assert (document["number"], document["applied"]["messages"]["rev"]) == (1, 2)


@pytest.mark.parametrize("fails", [False, True])
async def test_batch_behind_numbers_that_are_lost_waits_for_them(
    at: Bench, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """They are lost while their batch waits for its barrier. `tests/integration/test_rollback.py`
    shows the same on a replica set that loses them by itself."""
    confirm, number, may_confirm = Marks.confirm, Marks.number_few, asyncio.Event()
    failures = 0

    async def hold_and_confirm(*arguments: Any) -> None:
        await may_confirm.wait()
        await confirm(*arguments)

    async def fail(*_: object) -> None:
        nonlocal failures
        failures += 1
        monkeypatch.setattr(Marks, "number_few", number)
        raise AutoReconnect("the primary is gone")

    one, two = await at.insert("c", "one"), await at.insert("c", "two")
    monkeypatch.setattr(Marks, "confirm", hold_and_confirm)
    async with running_worker(at, reconciles=False) as app:
        await at.publish("message_created", one)
        await until(lambda: is_shown(at, 1))
        await at.documents.replace_one({"_id": one["_id"]}, one)
        if fails:
            monkeypatch.setattr(Marks, "number_few", fail)
        await at.publish("message_created", two)
        await asyncio.wait_for(app._crashed.wait(), 40)
        assert isinstance(app.crash_reason, Elected)
        assert failures == fails
        may_confirm.set()
    assert await at.frames("c") == [("message", 1, "one")]
    async with running_worker(at, reconciles=False):
        await until(lambda: is_all_numbered(at))
        await until(lambda: is_shown(at, 2))
    found = await at.documents.find().sort("number", 1).to_list(None)
    assert [(d["number"], d["content"]) for d in found] == [(1, "one"), (2, "two")]
    assert await at.frames("c") == [("message", 1, "one"), ("message", 2, "two")]


async def test_batch_whose_earlier_attempt_goes_on_in_mongodb_loses_no_message(
    at: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoDB gives the numbers for an attempt that was given up, behind the back of the next."""
    find_all, reads = Marks.find_all, 0

    async def find_then_number(self: Marks, message_ids: Any) -> Any:
        nonlocal reads
        found = await find_all(self, message_ids)
        reads += 1
        if reads == 1:
            late = [
                replace(mark(document["_id"], number, offset), topic=at.topic.name)
                for offset, (number, document) in enumerate(zip((5, 6), documents, strict=True))
            ]
            partition = partition_of(b"c", PARTITIONS)
            await self.apply([replace(each, partition=partition) for each in late])
        return found

    documents = [await at.insert("c", content) for content in ("one", "two")]
    for document in documents:
        await at.publish("message_created", document)
    monkeypatch.setattr(Marks, "find_all", find_then_number)
    async with running_worker(at, reconciles=False):
        await until(lambda: is_shown(at, 2))
    assert await at.frames("c") == [("message", 5, "one"), ("message", 6, "two")]


async def is_shown(at: Bench, count: int) -> bool:
    return len(await at.frames("c")) >= count


async def is_all_numbered(at: Bench) -> bool:
    numbered: int = await at.documents.count_documents({"number": {"$gt": 0}})
    return numbered == 2


async def committed(at: Bench) -> int:
    """The sum of what the group has committed in the topic."""
    offsets: Any = await at.admin.list_consumer_group_offsets(at.topic.group)
    return sum(meta.offset for tp, meta in offsets.items() if tp.topic == at.topic.name)
