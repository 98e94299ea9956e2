"""The reconciler, on a real Kafka, MongoDB and Redis."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis as RedisClient

from app.archive.marks import Marks
from app.archive.messages import Messages
from app.archive.pending import PendingMessages
from app.clients import Database
from app.offsets import Offsets
from app.reconciler import Reconciler
from app.settings import Settings
from app.topics import partition_of
from dev.servers import MongoDB
from tests.support.messages_worker import PARTITIONS, Bench, bench, running_worker
from tests.support.waiting import until


@pytest.fixture
async def at(settings: Settings, database: Database, redis: RedisClient) -> AsyncIterator[Bench]:
    async with bench(settings, database, redis) as made:
        yield made


def channel_in(partition: int, name: str = "c") -> str:
    return next(
        channel
        for channel in (f"{name}{n}" for n in range(1000))
        if partition_of(channel.encode(), PARTITIONS) == partition
    )


async def nothing_pending(at: Bench) -> bool:
    pending: int = await at.documents.count_documents({"pendingSince": {"$exists": True}})
    return pending == 0


async def frames_arrive(at: Bench, expected: list[tuple[str, int, str]]) -> None:
    """A change stops pending before its event is appended: wait for the log itself."""

    async def have_arrived() -> bool:
        return len(await at.frames("c")) >= len(expected)

    await until(have_arrived)
    assert await at.frames("c") == expected
    assert await nothing_pending(at)


async def test_message_that_was_never_published_is_delivered(at: Bench) -> None:
    for content in ("one", "two", "three"):
        await at.insert("c", content)
    async with running_worker(at):
        await frames_arrive(
            at, [("message", 1, "one"), ("message", 2, "two"), ("message", 3, "three")]
        )


async def test_message_published_again_needlessly_has_one_effect(at: Bench) -> None:
    async with running_worker(at, reconciles=False):
        document = await at.insert("c")
        await at.publish("message_created", document)
        await until(lambda: nothing_pending(at))
        await at.publish("message_created", document)
        later = await at.insert("c", "later")
        await at.publish("message_created", later)
        await frames_arrive(at, [("message", 1, "hi"), ("message", 2, "later")])


@pytest.mark.parametrize(
    ("change", "frame"),
    [("edit", ("message_updated", 1, "edited")), ("delete", ("message_deleted", 1, ""))],
)
async def test_change_whose_record_was_lost_reaches_the_clients(
    at: Bench, change: str, frame: tuple[str, int, str]
) -> None:
    messages = Messages(at.database)
    async with running_worker(at):
        document = await at.insert("c")
        await at.publish("message_created", document)
        await until(lambda: nothing_pending(at))
        if change == "edit":
            await messages.edit(document["_id"], {"content": "edited"})
        else:
            await messages.delete(document["_id"])
        await frames_arrive(at, [("message", 1, "hi"), frame])


async def test_message_deleted_before_its_number_gets_one(at: Bench) -> None:
    document = await at.insert("c")
    await Messages(at.database).delete(document["_id"])
    async with running_worker(at):
        await frames_arrive(at, [("message", 1, "")])
    assert await at.kinds() == ["message_created"]


async def test_nothing_is_published_again_while_its_record_waits_behind_a_lag(
    at: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go = asyncio.Event()
    apply = Marks.apply

    async def wait_and_apply(self: Marks, marks: list[object]) -> object:
        await may_go.wait()
        return await apply(self, marks)  # type: ignore[arg-type] # passed on as they are

    monkeypatch.setattr(Marks, "apply", wait_and_apply)
    async with running_worker(at):
        for number in range(5):
            await at.publish("message_created", await at.insert("c", str(number)))
        await asyncio.sleep(1.5)  # A dozen rounds, each past the age at which it looks.
        assert await at.kinds() == ["message_created"] * 5
        may_go.set()
        await until(lambda: nothing_pending(at))
    assert await at.kinds() == ["message_created"] * 5


async def test_lost_message_is_published_although_later_ones_keep_the_partition_busy(
    at: Bench,
) -> None:
    async with running_worker(at) as app:
        lost = await at.insert("c", "lost")
        is_over = False

        async def keep_busy() -> None:
            while not is_over:
                await at.publish("message_created", await at.insert("c", "busy"))
                await asyncio.sleep(0.005)

        busy = asyncio.create_task(keep_busy())
        try:
            await until(lambda: has_number(at, lost["_id"]))
        finally:
            is_over = True
            await busy
        assert app.is_ready
        await until(lambda: nothing_pending(at))


async def has_number(at: Bench, message_id: str) -> bool:
    return "number" in await at.documents.find_one({"_id": message_id})


async def test_heap_of_another_workers_partition_starves_nobody(
    at: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    others, own = channel_in(0), channel_in(1)
    await asyncio.gather(*(at.insert(others, str(n)) for n in range(1500)))
    await at.insert(own, "mine")
    async with running_worker(at, reconciles=False) as app:
        mine = {tp for tp in app.consumer.assignment() if tp.partition == 1}
        monkeypatch.setattr(app.consumer, "assignment", lambda: mine)
        offsets = Offsets(at.settings)
        reconciler = Reconciler(
            app, PendingMessages(at.database), offsets, after_seconds=0, per_second=10
        )
        assert await reconciler.reconcile() == 1
        await offsets.close()
    assert [record.key for record in await at.records()] == [own.encode()]


async def test_heap_of_one_channel_is_published_in_order_and_in_measure(at: Bench) -> None:
    for number in range(60):
        await at.insert("c", str(number))
    async with running_worker(at, reconciles=False) as app:
        offsets = Offsets(at.settings)
        reconciler = Reconciler(
            app, PendingMessages(at.database), offsets, after_seconds=0, per_second=25
        )
        started = asyncio.get_running_loop().time()
        await reconciler.reconcile()
        taken = asyncio.get_running_loop().time() - started
        await offsets.close()
        await frames_arrive(at, [("message", n + 1, str(n)) for n in range(60)])
    assert 2 <= taken < 20


async def test_outage_of_mongodb_is_said_once_and_waited_out(
    at: Bench, mongodb_server: MongoDB, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.reconciler")
    async with running_worker(at):
        mongodb_server.freeze()
        try:
            # Until the next round has begun, and has waited for MongoDB twice.
            await until(lambda: says(caplog, "reconciler_waits"))
        finally:
            mongodb_server.thaw()
        await until(lambda: says(caplog, "reconciler_goes_on"))
        await at.insert("c", "after")
        await until(lambda: nothing_pending(at))
    assert [r.message for r in caplog.records].count("reconciler_waits") == 1


async def says(caplog: pytest.LogCaptureFixture, event: str) -> bool:
    return event in [record.message for record in caplog.records]


async def test_message_whose_handler_failed_is_marked_and_left_alone(
    at: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: Marks, *arguments: object) -> None:
        raise LookupError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(Marks, "number", fail)
        async with running_worker(at):
            document = await at.insert("c")
            await at.publish("message_created", document)
            await until(lambda: nothing_pending(at))
            await asyncio.sleep(1)
    assert len(await at.records()) == 1
    found = await at.documents.find_one({"_id": document["_id"]})
    assert found["deadLettered"]["reason"] == "handler_failed"
    assert found["deadLettered"]["offset"] == 0
    (letter,) = await at.records(at.topic.dead_letters)
    assert dict(letter.headers)["source-offset"] == b"0"


async def test_change_after_a_dead_letter_is_applied_and_takes_the_mark_away(
    at: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: Marks, *arguments: object) -> None:
        raise LookupError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(Marks, "number", fail)
        async with running_worker(at):
            document = await at.insert("c")
            await at.publish("message_created", document)
            await until(lambda: nothing_pending(at))
    await Messages(at.database).edit(document["_id"], {"content": "edited"})
    async with running_worker(at):
        await frames_arrive(at, [("message", 1, "edited")])
    assert "deadLettered" not in await at.documents.find_one({"_id": document["_id"]})
