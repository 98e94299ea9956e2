"""The reactions agent's rule, cut off between any two of its steps; on real MongoDB and Redis."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from redis.asyncio import Redis as RedisClient

from agents import reactions as module
from agents.deps import Deps
from agents.reactions import ReactionsRule
from app.archive.marks import Marks
from app.clients import Database
from app.ids import new_id
from app.keys import StreamKey, channel_stream
from app.records import ReactionAdded
from app.stream_log.log import Append, Entry, Source, StreamLog
from app.streaming.work import Received, Work

MESSAGES = Source("messages", 0, "aaaaaaaa")
REACTIONS = Source("reactions", 0, "bbbbbbbb")
STREAM = channel_stream("c")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Crash(Exception):  # noqa: N818 - it is what happens
    """The process ends here."""


class Bench:
    """A channel with its stream, and the rule."""

    def __init__(self, database: Database, redis: RedisClient) -> None:
        self.documents = database["messages"]
        self.redis = redis
        self.log = StreamLog(redis, self._highest)
        self.marks = Marks(database)
        self.rule = ReactionsRule(cast("Deps", self._deps(self.marks, self.log)))

    async def _highest(self, _: StreamKey) -> int:
        return 0

    def _deps(self, marks: Any, log: Any) -> Any:
        return SimpleNamespace(marks=marks, log=log, instance="reactions.1")

    def crashing(self, step: str, calls_before: int = 0) -> ReactionsRule:
        """The rule in a process that ends before its next `apply`, `leave` or `append`."""
        count = 0

        def ending(target: Any) -> Any:
            class Ending:
                def __getattr__(self, name: str) -> Any:
                    nonlocal count
                    if name == step:
                        count += 1
                        if count > calls_before:
                            raise Crash
                    return getattr(target, name)

            return Ending()

        return ReactionsRule(cast("Deps", self._deps(ending(self.marks), ending(self.log))))

    async def store(self, number: int | None, rev: int = 2, **fields: Any) -> str:
        """Store the document of a message that was just reacted to."""
        document = {
            "_id": new_id(),
            "channelId": "c",
            "senderId": "u",
            "senderName": "U",
            "content": "x",
            "rev": rev,
            "reactions": [],
            "createdAt": NOW,
            "changedAt": NOW,
            "pendingSince": NOW,
            **({} if number is None else {"number": number}),
            **fields,
        }
        await self.documents.insert_one(document)
        return str(document["_id"])

    async def show(self, message_id: str, number: int) -> None:
        """Append a message to the stream, as the messages agent does."""
        data = orjson.dumps({"id": message_id, "rev": 1, "number": number})
        entry = Entry(number, "message", data, number, "push", message_id, 1)
        await self.log.append(MESSAGES, [Append(STREAM, [entry], 0)])

    async def events(self) -> list[tuple[str, str]]:
        """Type and message of each event in the stream."""
        position = await self.log.position(STREAM)
        frames = await self.log.read(STREAM, position.epoch, 0)
        assert frames is not None
        found = [orjson.loads(frame) for frame in frames]
        return [(f["type"], f["data"].get("messageId") or f["data"]["id"]) for f in found]

    async def is_pending(self, message_id: str) -> bool:
        document = await self.documents.find_one({"_id": message_id})
        assert document is not None
        return "pendingSince" in document


@pytest.fixture
async def bench(
    database: Database, redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", ())
    bench = Bench(database, redis)
    yield bench
    await bench.log.close()


def reacted(offset: int, message_id: str, rev: int = 2, user: str = "ann") -> Received:
    event = ReactionAdded(
        type="reaction_added",
        event_id=f"{message_id}:{rev}",
        occurred_at="2026-01-01T00:00:00.000Z",
        channel_id="c",
        rev=rev,
        message={"id": message_id},
        message_id=message_id,
        emoji="👍",
        user_id=user,
    )
    return Received(cast("Any", SimpleNamespace(offset=offset)), event)


def work(*received: Received) -> Work:
    return Work(REACTIONS, list(received), cast("Any", SimpleNamespace(is_held=True)))


async def test_reaction_whose_message_is_not_in_the_stream_stays_pending(bench: Bench) -> None:
    shown, hidden = await bench.store(1), await bench.store(2)
    await bench.show(shown, 1)
    batch = work(reacted(0, hidden), reacted(1, shown))
    barrier = await bench.rule.handle(batch)
    assert barrier is not None
    await bench.rule.settle([barrier])
    assert await bench.events() == [("message", shown), ("reaction_added", shown)]
    assert (await bench.is_pending(shown), await bench.is_pending(hidden)) == (False, True)
    # Delivered again when the message is there: what was left is the reconciler's all the same.
    await bench.show(hidden, 2)
    await bench.rule.handle(work(reacted(0, hidden), reacted(1, shown)))
    assert await bench.events() == [
        ("message", shown),
        ("reaction_added", shown),
        ("message", hidden),
    ]
    assert await bench.is_pending(hidden)


async def test_reaction_waits_a_moment_for_its_message(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", (0.02, 0.4))
    first, late = await bench.store(1), await bench.store(2)
    await bench.show(first, 1)
    handling = asyncio.create_task(bench.rule.handle(work(reacted(0, late))))
    await asyncio.sleep(0.1)
    await bench.show(late, 2)
    await handling
    assert await bench.events() == [
        ("message", first),
        ("message", late),
        ("reaction_added", late),
    ]
    assert not await bench.is_pending(late)


async def test_reaction_to_a_message_without_number_stays_pending(bench: Bench) -> None:
    early, shown = await bench.store(None), await bench.store(1)
    await bench.show(shown, 1)
    batch = (reacted(0, early), reacted(1, shown))
    await bench.rule.handle(work(*batch))
    await bench.documents.update_one({"_id": early}, {"$set": {"number": 2}})
    await bench.show(early, 2)
    await bench.rule.handle(work(*batch))
    assert await bench.is_pending(early)
    assert ("reaction_added", early) not in await bench.events()


@pytest.mark.parametrize(
    ("step", "calls_before"), [("append", 0), ("leave", 0), ("append", 1), ("apply", 0)]
)
async def test_batch_cut_off_at_any_step_has_its_effect_once(
    bench: Bench, step: str, calls_before: int
) -> None:
    one, two, hidden = await bench.store(1), await bench.store(2), await bench.store(3)
    await bench.show(one, 1)
    await bench.show(two, 2)
    batch = (reacted(0, one), reacted(1, hidden), reacted(2, two), reacted(3, one, 3, "bob"))
    await bench.documents.update_one({"_id": one}, {"$set": {"rev": 3}})
    with pytest.raises(Crash):
        await bench.crashing(step, calls_before).handle(work(*batch))
    await bench.rule.handle(work(*batch))
    assert (await bench.events())[2:] == [
        ("reaction_added", one),
        ("reaction_added", two),
        ("reaction_added", one),
    ]
    pending = [await bench.is_pending(each) for each in (one, two, hidden)]
    assert pending == [False, False, True]


async def test_late_reaction_is_found_by_its_time_from_when_it_is_in_the_stream(
    bench: Bench,
) -> None:
    """Whoever resumes while it is appended and not marked looks for changes of the last minute."""
    shown = await bench.store(1)
    await bench.show(shown, 1)
    with pytest.raises(Crash):
        await bench.crashing("apply").handle(work(reacted(0, shown)))
    assert ("reaction_added", shown) in await bench.events()
    document = await bench.documents.find_one({"_id": shown})
    assert document is not None
    assert "applied" not in document
    assert document["changedAt"] > datetime.now(UTC) - timedelta(seconds=60)


async def test_reaction_published_twice_has_one_effect(bench: Bench) -> None:
    shown = await bench.store(1)
    await bench.show(shown, 1)
    await bench.rule.handle(work(reacted(0, shown), reacted(1, shown)))
    await bench.rule.handle(work(reacted(2, shown)))
    assert await bench.events() == [("message", shown), ("reaction_added", shown)]


async def test_reaction_to_a_message_deleted_since_is_marked_and_not_shown(bench: Bench) -> None:
    gone = await bench.store(1, rev=3, deletedAt=NOW)
    await bench.show(gone, 1)
    await bench.rule.handle(work(reacted(0, gone)))
    assert await bench.events() == [("message", gone)]
    document = await bench.documents.find_one({"_id": gone})
    assert document is not None
    assert document["applied"]["reactions"]["rev"] == 2
    assert "pendingSince" in document  # The deletion's own record is on its way.


async def test_reaction_to_an_unknown_message_is_a_dead_letter(bench: Bench) -> None:
    shown = await bench.store(1)
    await bench.show(shown, 1)
    batch = work(reacted(0, new_id()), reacted(1, shown))
    await bench.rule.handle(batch)
    assert [(each.raw.offset, each.reason) for each in batch.refused] == [(0, "unknown_message")]
    assert await bench.events() == [("message", shown), ("reaction_added", shown)]
