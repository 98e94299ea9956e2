"""Numbers that clients have seen and MongoDB then loses, on a real replica set of three.

The primary gives numbers while its followers are dead, is killed, and they come back and elect one
of them, which never had these numbers. What it is then told must be as if it had.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import orjson
import pytest
from pymongo.errors import AutoReconnect, PyMongoError
from redis.asyncio import Redis as RedisClient

from agents.planning import Planning
from app.archive.applied import Applied
from app.archive.marks import Elected, Election, Marks
from app.clients import Database, open_mongodb
from app.ids import new_id
from app.keys import read_states
from app.outgoing import encode_change
from app.settings import Settings, load
from app.streaming.application import Application
from app.topics import partition_of
from dev.servers import Kafka, MongoDBReplicas
from tests.support.messages_worker import (
    INCARNATION,
    PARTITIONS,
    Bench,
    bench,
    running_worker,
)
from tests.support.waiting import until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

PLACE = partition_of(b"c", PARTITIONS)
OTHER = next(
    name
    for name in (f"d{n}" for n in range(100))
    if partition_of(name.encode(), PARTITIONS) == PLACE
)
"""Another channel of the same partition."""


@pytest.fixture(scope="module")
def all_replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoDBReplicas]:
    replicas = MongoDBReplicas(tmp_path_factory.mktemp("replicas"))
    try:
        replicas.start()
        yield replicas
    finally:
        replicas.kill()


@pytest.fixture
def replicas(all_replicas: MongoDBReplicas) -> MongoDBReplicas:
    """A set that is whole; whoever was killed in the test before is back, and has rolled back."""
    all_replicas.make_whole()
    return all_replicas


@pytest.fixture
async def database(
    replicas: MongoDBReplicas, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    uri = replicas.environment["MONGODB_URI"].replace("/hubbub?", f"/{database_name}?")
    monkeypatch.setenv("MONGODB_URI", uri)
    database = open_mongodb(load())
    yield database
    database.client.close()


@pytest.fixture
def settings(
    kafka_server: Kafka, redis: RedisClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    for name, value in kafka_server.environment.items():
        monkeypatch.setenv(name, value)
    return load()


class Stage:
    """A worker that has numbered the message "zero", and servers that can lose what comes next."""

    def __init__(self, at: Bench, replicas: MongoDBReplicas, patch: pytest.MonkeyPatch) -> None:
        self.at = at
        self.replicas = replicas
        self.patch = patch
        self.may_confirm = asyncio.Event()

    async def post(self, channel_id: str, content: str) -> dict[str, Any]:
        """Insert a message for good."""
        return await self.at.insert(channel_id, content)

    def isolate(self) -> None:
        """Let the primary go on alone: nothing is durable from here on, and nothing confirmed."""
        followers = [member for member in self.replicas.members if not member.is_primary]
        for member in followers:
            member.kill()  # Frozen they would find it in their sockets when they are thawed.
        confirm = Marks.confirm

        async def hold_and_confirm(marks: Marks, owner: str, *elections: Election) -> None:
            await self.may_confirm.wait()
            await confirm(marks, owner, *elections)

        self.patch.setattr(Marks, "confirm", hold_and_confirm)

    async def fail_over(self) -> None:
        """Kill the primary and have the others back; return when one of them is elected, and the
        worker's client knows it. It has "zero" and no other number."""
        lost = self.replicas.primary()
        lost.kill()
        for member in self.replicas.members:
            if member is not lost:
                member.launch()
        async with asyncio.timeout(40):
            while True:
                with suppress(PyMongoError):
                    hello = await self.at.database.client.admin.command("hello")
                    if hello["isWritablePrimary"] and hello["me"] != lost.address:
                        break
                await asyncio.sleep(0.05)
        numbered = await self.at.documents.find({"number": {"$ne": None}}).to_list(None)
        assert [document["content"] for document in numbered] == ["zero"]

    def fail_over_after(self, method: str, call: Callable[[Any], bool]) -> None:
        """Fail over once, between a reading of the worker and what it does next."""
        original, is_over = getattr(Marks, method), False

        async def read_and_fail_over(marks: Marks, ids: Any) -> Any:
            nonlocal is_over
            found = await original(marks, ids)
            if not is_over and call(ids):
                is_over = True
                await self.fail_over()
            return found

        self.patch.setattr(Marks, method, read_and_fail_over)

    def fail_over_before(self, method: str) -> None:
        """Fail over once, just before a write of the worker."""
        original = getattr(Marks, method)

        async def fail_over_and_write(*arguments: Any) -> Any:
            self.patch.setattr(Marks, method, original)
            await self.fail_over()
            return await original(*arguments)

        self.patch.setattr(Marks, method, fail_over_and_write)

    def fail_over_instead(self, method: str) -> None:
        """Fail over once, in the middle of a write of the worker, which fails and is repeated."""
        original = getattr(Marks, method)

        async def fail_over_and_fail(*_: Any) -> None:
            self.patch.setattr(Marks, method, original)
            await self.fail_over()
            raise AutoReconnect("the primary is gone")

        self.patch.setattr(Marks, method, fail_over_and_fail)

    async def mark_alone(self, document: dict[str, Any], number: int, offset: int) -> None:
        """Number a message as a worker did that has died since."""
        await Marks(self.at.database).apply(
            [
                Applied(
                    message_id=document["_id"],
                    topic=self.at.topic.name,
                    rev=document["rev"],
                    incarnation=INCARNATION,
                    partition=PLACE,
                    offset=offset,
                    number=number,
                    numbered_offset=offset,
                    channel_id=document["channelId"],
                )
            ]
        )

    async def shown(self, channel_id: str, count: int) -> bool:
        return len(await self.at.frames(channel_id)) >= count

    async def end(self, app: Application, is_done: Callable[[], Awaitable[bool]]) -> None:
        """Let the worker come to its end: it leaves, or is done if it need not."""

        async def has_ended() -> bool:
            return app._crashed.is_set() or await is_done()

        await until(has_ended)
        self.may_confirm.set()
        if app._crashed.is_set():
            assert isinstance(app.crash_reason, Elected)

    async def find_numbered(self, channel_id: str) -> list[tuple[int, str]]:
        found = await self.at.documents.find({"channelId": channel_id}).to_list(None)
        return sorted((d.get("number") or 0, d["content"]) for d in found)

    async def is_all_numbered(self) -> bool:
        missing: int = await self.at.documents.count_documents({"number": None})
        return missing == 0

    async def run_again(self) -> None:
        """Start another worker; it must bring all to an end that fits what clients have seen."""
        self.patch.undo()
        async with running_worker(self.at, reconciles=False):
            with suppress(TimeoutError):  # Said better by what is compared.
                await until(self.is_all_numbered, 15)

    async def check(self, channel_id: str, *contents: str) -> None:
        """Whether the documents and the clients have these messages, in this order."""
        expected = list(enumerate(contents, start=1))
        assert await self.find_numbered(channel_id) == expected
        frames = [("message", number, content) for number, content in expected]
        assert await self.at.frames(channel_id) == frames


@pytest.fixture
async def stage(
    settings: Settings, database: Database, redis: RedisClient, replicas: MongoDBReplicas
) -> AsyncIterator[Stage]:
    async with bench(settings, database, redis) as at:
        with pytest.MonkeyPatch.context() as patch:
            yield Stage(at, replicas, patch)


async def begin(stage: Stage) -> None:
    await stage.at.publish("message_created", await stage.post("c", "zero"))

    async def is_committed() -> bool:
        offsets = await stage.at.admin.list_consumer_group_offsets(stage.at.topic.group)
        return any(meta.offset == 1 for meta in offsets.values())

    await until(is_committed)


@pytest.mark.parametrize("is_read", [True, False])
@pytest.mark.parametrize("place", ["before it reads", "before it writes", "while it writes"])
async def test_batch_behind_numbers_that_are_lost_gives_none(
    stage: Stage, place: str, is_read: bool
) -> None:
    """The primary dies while the batch before waits for its barrier, and the next is worked on."""
    if is_read:
        stage.patch.setattr(Planning, "_plan_unread", lambda *_: None)
    one, two = await stage.post("c", "one"), await stage.post("c", "two")
    async with running_worker(stage.at, reconciles=False) as app:
        await begin(stage)
        stage.isolate()
        await stage.at.publish("message_created", one)
        await until(lambda: stage.shown("c", 2))
        if place == "before it reads":
            await stage.fail_over()
        elif place == "while it writes":
            stage.fail_over_instead("number" if is_read else "number_few")
        elif is_read:
            stage.fail_over_after("find_all", lambda ids: two["_id"] in ids)
        else:
            stage.fail_over_before("number_few")
        await stage.at.publish("message_created", two)
        await stage.end(app, lambda: stage.shown("c", 3))
    await stage.run_again()
    await stage.check("c", "zero", "one", "two")


async def test_member_that_joins_behind_numbers_that_are_lost_has_read_them(stage: Stage) -> None:
    one = await stage.post("c", "one")
    async with running_worker(stage.at, reconciles=False) as app:
        await begin(stage)
        stage.isolate()
        await stage.at.publish("message_created", one)
        await until(lambda: stage.shown("c", 2))
        await stage.fail_over()
        await join(stage.at, "c", "u2")

        async def has_joined() -> bool:
            return await has_read(stage.at, "c", "u2") is not None

        await stage.end(app, has_joined)
    await stage.run_again()
    async with running_worker(stage.at, reconciles=False):
        await until(has_joined)
    assert await has_read(stage.at, "c", "u2") == 2
    await stage.check("c", "zero", "one")


async def test_newest_number_that_is_lost_after_it_was_read_is_not_counted_on(
    stage: Stage,
) -> None:
    """A worker numbered the channel's first message and died; the next one reads that number, the
    primary dies, and the message has none."""
    one = await stage.post(OTHER, "one")
    async with running_worker(stage.at, reconciles=False) as app:
        await begin(stage)
        stage.isolate()
        await stage.mark_alone(one, 1, offset=1)
        stage.fail_over_after("newest", lambda channels: OTHER in channels)
        await stage.at.publish("message_created", one)
        await stage.end(app, lambda: stage.shown(OTHER, 1))
    await stage.run_again()
    await stage.check(OTHER, "one")


async def test_batch_of_which_a_part_was_numbered_before_and_is_lost_is_numbered_whole(
    stage: Stage,
) -> None:
    one, two = await stage.post(OTHER, "one"), await stage.post("c", "two")
    async with running_worker(stage.at, reconciles=False) as app:
        await begin(stage)
        stage.isolate()
        await stage.mark_alone(one, 1, offset=1)
        stage.fail_over_after("find_all", lambda ids: {one["_id"], two["_id"]} <= set(ids))
        stage.may_confirm.set()
        await publish_at_once(stage.at, one, two)
        await stage.end(app, lambda: stage.shown("c", 2))
        await asyncio.sleep(1)  # Were it acknowledged now, nobody would number it any more.
    await stage.run_again()
    await stage.check(OTHER, "one")
    await stage.check("c", "zero", "two")


async def publish_at_once(at: Bench, *documents: dict[str, Any]) -> None:
    """Publish creations so that they are worked on as one batch."""
    sent = [
        await at.producer.send(
            at.topic.name,
            encode_change("message_created", document),
            key=document["channelId"].encode(),
        )
        for document in documents
    ]
    await asyncio.gather(*sent)


async def join(at: Bench, channel_id: str, user_id: str) -> None:
    """Publish a `member_joined`."""
    record = {
        "eventId": new_id(),
        "type": "member_joined",
        "occurredAt": "2026-01-01T00:00:00.000Z",
        "channelId": channel_id,
        "userId": user_id,
        "by": user_id,
    }
    await at.producer.send_and_wait(at.topic.name, orjson.dumps(record), key=channel_id.encode())


async def has_read(at: Bench, channel_id: str, user_id: str) -> int | None:
    """Up to which number a user has read a channel, as the projection says."""
    value: Any = await at.redis.hget(read_states(user_id), channel_id)
    return None if value is None else int(orjson.loads(value.split()[0])[0])
