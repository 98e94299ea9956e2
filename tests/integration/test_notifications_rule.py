"""The notifications agent's rule, cut off between any two steps; on real MongoDB and Redis."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from redis.asyncio import Redis as RedisClient

from agents.deps import Deps
from agents.notifications import NotificationsRule
from app.archive.indexes import ensure_indexes
from app.archive.marks import Marks
from app.archive.notifications import Notifications
from app.clients import Database
from app.keys import StreamKey, user_stream
from app.records import Event, Notification, NotificationsRead
from app.stream_log.log import Source, StreamLog
from app.streaming.work import Received, Work
from tables.notification_state import NotificationState
from tables.readers import read_notification_count

SOURCE = Source("notifications", 0, "aaaaaaaa")
AT = "2026-01-01T00:00:00.000Z"


class Crash(Exception):  # noqa: N818 - it is what happens
    """The process ends here."""


class Table(dict[str, NotificationState]):
    """A table whose changelog has everything at once."""

    async def settle(self) -> None:
        """Return at once."""


class Bench:
    """The rule, with a table in memory; what the table has was in its changelog."""

    def __init__(self, database: Database, redis: RedisClient) -> None:
        self.redis = redis
        self.log = StreamLog(redis, self._highest)
        self.marks = Marks(database)
        self.archive = Notifications(database)
        self.table = Table()
        self.rule = self._rule(self.archive, self.log)

    async def _highest(self, _: StreamKey) -> int:
        return 0

    def _rule(self, archive: Any, log: Any) -> NotificationsRule:
        deps = SimpleNamespace(
            marks=self.marks, log=log, notifications=archive, instance="notifications.1"
        )
        return NotificationsRule(cast("Deps", deps), self.table)

    def crashing(self, step: str) -> NotificationsRule:
        """The rule in a process that ends before its first call of `step`."""

        def ending(target: Any) -> Any:
            class Ending:
                def __getattr__(self, name: str) -> Any:
                    if name == step:
                        raise Crash
                    return getattr(target, name)

            return Ending()

        return self._rule(ending(self.archive), ending(self.log))

    async def events(self, user: str = "u") -> list[tuple[str, int]]:
        """Type and unread count of each event in a user's stream."""
        stream = user_stream(user)
        frames = await self.log.read(stream, (await self.log.position(stream)).epoch, 0)
        assert frames is not None
        found = [orjson.loads(frame) for frame in frames]
        return [(frame["type"], frame["data"]["unread"]) for frame in found]

    async def unread(self, user: str = "u") -> set[int]:
        """What the table, the projection and MongoDB say: one number, if they agree."""
        in_archive = await self.archive.count_unread([user])
        projected = await read_notification_count(self.redis, user)
        return {self.table[user].unread, projected, in_archive[user]}


@pytest.fixture
async def bench(database: Database, redis: RedisClient) -> AsyncIterator[Bench]:
    await ensure_indexes(database)
    bench = Bench(database, redis)
    yield bench
    await bench.log.close()


def received(offset: int, event: Event) -> Received:
    return Received(cast("Any", SimpleNamespace(offset=offset)), event)


def told(offset: int, name: str, user: str = "u") -> Received:
    event = Notification(
        type="notification",
        event_id=name,
        occurred_at=AT,
        id=name,
        user_id=user,
        kind="k",
        data={},
    )
    return received(offset, event)


def read(offset: int, ids: list[str] | None, user: str = "u") -> Received:
    event = NotificationsRead(
        type="notifications_read", event_id="e", occurred_at=AT, user_id=user, ids=ids
    )
    return received(offset, event)


def work(*items: Received) -> Work:
    return Work(SOURCE, list(items), cast("Any", SimpleNamespace(is_held=True)))


BATCH = (told(0, "a"), told(1, "b"), read(2, ["a", "a", "elsewhere"]), told(3, "c"))


@pytest.mark.parametrize(
    "step", ["places", "insert", "mark_read", "count_unread", "append", "nothing"]
)
async def test_batch_cut_off_at_any_step_and_delivered_again_counts_exactly(
    bench: Bench, step: str
) -> None:
    if step == "nothing":
        await bench.crashing(step).handle(work(*BATCH))
    else:
        with pytest.raises(Crash):
            await bench.crashing(step).handle(work(*BATCH))
    # With other borders, as redelivered batches have them.
    await bench.rule.handle(work(*BATCH[:2]))
    barrier = await bench.rule.handle(work(*BATCH[2:], read(4, ["b"])))
    assert barrier is not None
    await bench.rule.settle([barrier])
    assert await bench.unread() == {1}
    assert bench.table["u"].position == ["aaaaaaaa", 0, 4]
    kinds = [kind for kind, _ in await bench.events()]
    assert kinds == ["notification"] * 2 + [
        "notifications_read",
        "notification",
        "notifications_read",
    ]


async def test_all_that_were_read_are_no_more_when_it_is_delivered_again(bench: Bench) -> None:
    batch = (told(0, "a"), told(1, "b"), read(2, None), told(3, "c"), told(4, "d"))
    await bench.rule.handle(work(*batch))
    assert await bench.unread() == {2}
    await bench.rule.handle(work(*batch[:3]))
    await bench.rule.handle(work(batch[2]))
    assert await bench.unread() == {2}
    assert bench.table["u"].position == ["aaaaaaaa", 0, 4]
    read_before = await bench.archive.page("u", 10)
    assert {each["_id"] for each in read_before if each["readAt"] is not None} == {"a", "b"}


async def test_topic_made_anew_reads_what_was_told_before(bench: Bench) -> None:
    await bench.rule.handle(work(told(500, "a")))
    anew = Work(
        Source("notifications", 0, "bbbbbbbb"),
        [read(0, None)],
        cast("Any", SimpleNamespace(is_held=True)),
    )
    await bench.rule.handle(anew)
    assert await bench.unread() == {0}


async def test_users_of_one_batch_are_counted_each_by_itself(bench: Bench) -> None:
    await bench.rule.handle(
        work(told(0, "a", "ann"), told(1, "b", "bob"), told(2, "c", "bob"), read(3, ["b"], "ann"))
    )
    assert (await bench.unread("ann"), await bench.unread("bob")) == ({1}, {2})
    assert await bench.events("bob") == [("notification", 2), ("notification", 2)]
    assert await bench.events("ann") == [("notification", 1), ("notifications_read", 1)]


async def test_lost_projection_is_written_with_the_next_batch(bench: Bench) -> None:
    await bench.rule.handle(work(told(0, "a")))
    await bench.redis.flushall()
    await bench.rule.handle(work(told(1, "b")))
    assert await bench.unread() == {2}
