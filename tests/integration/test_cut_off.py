"""A command that numbers many messages, cut off in the middle."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure, PyMongoError
from redis.asyncio import Redis as RedisClient

from app.archive.applied import GROUP_LENGTH, Applied
from app.archive.marks import Marks
from app.archive.messages import Draft, Messages
from app.clients import Database, open_mongodb
from app.ids import new_id
from app.outgoing import encode_change
from app.settings import Settings, load
from dev.servers import Kafka, MongoDB
from tests.support.messages_worker import Bench, bench, running_worker
from tests.support.waiting import until

COUNT = 4000


async def insert_many(database: Database, ids: list[str], channels: list[str]) -> list[Any]:
    """Insert messages as a gateway does; return their documents."""
    draft, _ = await Messages(database).insert(Draft("none", "u1", "Ann", ""))
    documents = [
        {**draft, "_id": message_id, "channelId": channel, "content": f"{n}"}
        for n, (message_id, channel) in enumerate(zip(ids, channels, strict=True))
    ]
    await database["messages"].delete_one({"_id": draft["_id"]})
    await database["messages"].insert_many(documents)
    return documents


def number_all(documents: list[Any], after: dict[str, int]) -> list[Applied]:
    """The marks of a batch, channel by channel counted up."""
    newest, marks = defaultdict(int, after), []
    for offset, document in enumerate(documents):
        channel = document["channelId"]
        newest[channel] += 1
        marks.append(
            Applied(
                document["_id"],
                "messages",
                1,
                "aaaaaaaa",
                0,
                offset,
                newest[channel],
                offset,
                channel_id=channel,
            )
        )
    return marks


async def numbers(database: Database, documents: list[Any]) -> dict[str, list[int | None]]:
    """By channel the numbers of its messages, in their order."""
    found = {d["_id"]: d.get("number") async for d in database["messages"].find()}
    by_channel: dict[str, list[int | None]] = defaultdict(list)
    for document in documents:
        by_channel[document["channelId"]].append(found[document["_id"]])
    return by_channel


async def interrupt_update(database: Database) -> None:
    """Have MongoDB break off the update of messages, once it has written some."""
    while not await database["messages"].count_documents({"number": {"$gt": 0}}):
        await asyncio.sleep(0.005)
    namespace = f"{database.name}.messages"
    admin = database.client.admin
    async for operation in admin.aggregate([{"$currentOp": {}}, {"$match": {"ns": namespace}}]):
        if "update" in operation["command"] or operation["op"] == "update":
            await admin.command("killOp", op=operation["opid"])


async def begin_to_number(database: Database) -> list[Any]:
    """Insert messages and have the command that numbers them cut off; return their documents."""
    ids = sorted(new_id() for _ in range(COUNT))
    blocks = [ids[n : n + GROUP_LENGTH] for n in range(COUNT // 2, COUNT, GROUP_LENGTH)]
    descending = [each for block in blocks for each in reversed(block)]
    pairs = zip(ids[: COUNT // 2], descending, strict=True)
    sent = [each for pair in pairs for each in pair]
    while True:
        documents = await insert_many(database, sent, ["up", "down"] * (COUNT // 2))
        marks = number_all(documents, {})
        writing = asyncio.create_task(Marks(database).number(marks))
        await interrupt_update(database)
        try:
            await writing
        except OperationFailure:
            return documents
        # On a busy machine it is over before one knows which it is.
        await database["messages"].delete_many({})


async def test_command_that_is_cut_off_leaves_no_hole(database: Database) -> None:
    """In one channel ids ascend; in the other each is below those before it, many at a time."""
    documents, marks = await begin_to_number(database), Marks(database)
    given = {}
    for channel, found in (await numbers(database, documents)).items():
        given[channel] = sum(number is not None for number in found)
        assert found[: given[channel]] == list(range(1, given[channel] + 1))
    assert 0 < sum(given.values()) < COUNT
    rest = await database["messages"].find({"number": None}, {"_id": 1}).to_list(None)
    missing = {document["_id"] for document in rest}
    await marks.number(number_all([d for d in documents if d["_id"] in missing], given))
    complete = list(range(1, COUNT // 2 + 1))
    assert await numbers(database, documents) == {"up": complete, "down": complete}


@pytest.fixture
def own_mongodb(tmp_path: Path) -> Iterator[MongoDB]:
    with MongoDB(tmp_path / "mongodb") as server:
        yield server


@pytest.fixture
async def at(
    own_mongodb: MongoDB,
    kafka_server: Kafka,
    redis: RedisClient,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Bench]:
    for name, value in {**own_mongodb.environment, **kafka_server.environment}.items():
        monkeypatch.setenv(name, value)
    settings: Settings = load()
    database = open_mongodb(settings)
    async with bench(settings, database, redis) as made:
        yield made
    database.client.close()


async def test_mongodb_killed_while_it_numbers_loses_doubles_and_misorders_nothing(
    at: Bench, own_mongodb: MongoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, kills = Marks.number, [0.002, 0.004, 0.012]

    async def number_and_kill(*arguments: Any) -> Any:
        writing = asyncio.create_task(number(*arguments))
        if kills:
            await asyncio.wait([writing], timeout=kills.pop(0))
            own_mongodb.kill()
            own_mongodb.launch()
        return await writing

    ids = sorted(new_id() for _ in range(300))
    ids[100:200] = reversed(ids[100:200])
    documents = await insert_many(at.database, ids, ["c"] * len(ids))
    for document in documents[:-1]:
        await at.producer.send(at.topic.name, encode_change("message_created", document), key=b"c")
    await at.publish("message_created", documents[-1])
    monkeypatch.setattr(Marks, "number", number_and_kill)

    async def is_done() -> bool:
        # What was shown before an election is shown already when the next worker begins.
        with suppress(PyMongoError):
            is_all_shown = len(await at.frames("c")) >= len(ids)
            return is_all_shown and not await at.documents.count_documents({"number": None})
        return False

    for _ in range(len(kills) + 1):  # An election may end the worker.
        async with running_worker(at, reconciles=False) as app:

            async def has_ended() -> bool:
                return app._crashed.is_set() or await is_done()

            await until(has_ended, 60)
        if not app._crashed.is_set():
            break
    assert len(kills) < 3
    expected = [(n, document["content"]) for n, document in enumerate(documents, start=1)]
    assert await at.frames("c") == [("message", *each) for each in expected]
    found = await at.documents.find().sort("number", 1).to_list(None)
    assert [(d["number"], d["content"]) for d in found] == expected
