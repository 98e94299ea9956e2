"""A client that applied the stream shows what a fresh one shows: `apply(events, old) == fresh`.

Posts, edits, deletions, reactions, reads, memberships, sessions, notifications, the topics in any
order; batches that come again or are cut off; pages that overlap with events; streams that are
resumed, replayed by history, or lost. The rules, MongoDB and Redis are the real ones.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis as RedisClient

from app.archive.indexes import ensure_indexes
from app.clients import Database, open_mongodb, open_redis
from app.settings import load
from dev.servers import MongoDB, Redis
from tests.support.transcripts import Step, follow, play, stories
from tests.support.world import World

CASES = 60
# What chance alone brings about too seldom, each with what has happened before the client comes.
RARE: dict[str, tuple[list[Step], int]] = {
    "a user comes and leaves within a second, and the client joins in between": (
        [
            ("crowd", (0, 14, 1)),
            ("work", (3, 20, 0, 0)),
            ("return", (0,)),
            ("crowd", (0, 14, 0)),
            ("work", (3, 20, 0, 0)),
        ],
        0,
    ),
    "a user gets another name and leaves within a second": (
        [
            ("session", (0, 0, 0, 0, 0)),
            ("work", (3, 20, 0, 0)),
            ("second", ()),
            ("crowd", (0, 14, 1)),
            ("session", (0, 0, 0, 0, 1)),
            ("work", (3, 20, 0, 0)),
            ("session", (0, 0, 0, 2, 1)),
            ("work", (3, 20, 0, 0)),
        ],
        3,
    ),
    "a user comes by a batch that is cut off, and leaves before it comes again": (
        [
            ("session", (0, 0, 0, 0, 0)),
            ("work", (3, 20, 0, 5)),
            ("hear", (1, 6)),
            ("session", (0, 0, 0, 2, 0)),
            ("work", (3, 20, 0, 0)),
        ],
        0,
    ),
    "the user's own message is deleted before it has a number": (
        [
            ("member", (1, 0, 1)),
            ("work", (0, 20, 0, 0)),
            ("post", (1, 0, 0, 0)),
            ("delete", (0, 0, 0)),
        ],
        2,
    ),
    "a message that names the user is deleted before it has a number": (
        [
            ("member", (1, 0, 1)),
            ("work", (0, 20, 0, 0)),
            ("post", (0, 0, 2, 0)),
            ("delete", (0, 0, 0)),
        ],
        2,
    ),
    "a reaction is taken back": (
        [
            ("post", (0, 0, 0, 1)),
            ("work", (0, 20, 0, 0)),
            ("react", (0, 0, 0, 1)),
            ("work", (1, 20, 0, 0)),
            ("hear", (1, 6)),
            ("react", (0, 0, 0, 0)),
        ],
        2,
    ),
    "a message is deleted, and the log that says so is lost": (
        [
            ("post", (0, 0, 0, 1)),
            ("work", (0, 20, 0, 0)),
            ("delete", (0, 0, 1)),
            ("work", (0, 20, 0, 0)),
            ("lose", (1,)),
        ],
        2,
    ),
    "the user becomes no member": (
        [("member", (1, 0, 1)), ("work", (0, 20, 0, 0)), ("member", (1, 0, 0))],
        2,
    ),
    "the user reads a channel elsewhere": (
        [
            ("member", (1, 0, 1)),
            ("work", (0, 20, 0, 0)),
            ("post", (0, 0, 2, 1)),
            ("post", (0, 0, 2, 1)),
            ("work", (0, 20, 0, 0)),
            ("read", (1, 0, 1)),
        ],
        5,
    ),
}


@dataclass
class Ground:
    """Where worlds are made, one after another."""

    runner: asyncio.Runner
    database: Database
    redis: RedisClient

    async def check(self, story: Sequence[Step], before: int, delay: int) -> None:
        world = World(self.database, self.redis)
        try:
            transcript, wanted, user = await play(world, story, before)
            assert follow(transcript, user, delay).shown == wanted
            for channel in world.channels:
                cached = await world.cached(channel)
                assert cached == wanted["messages"][channel][: len(cached)]
        finally:
            await world.end()


@pytest.fixture
def ground(
    redis_server: Redis,
    mongodb_server: MongoDB,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Ground]:
    environment = {**redis_server.environment, **mongodb_server.environment}
    uri = environment["MONGODB_URI"].replace("/hubbub?", f"/{database_name}?")
    for name, value in {**environment, "MONGODB_URI": uri}.items():
        monkeypatch.setenv(name, value)
    with asyncio.Runner() as runner:
        redis, database = open_redis(load()), open_mongodb(load())
        try:
            runner.run(ensure_indexes(database))
            yield Ground(runner, database, redis)
        finally:
            runner.run(drop(database, database_name))
            runner.run(redis.aclose())
            database.client.close()


async def drop(database: Database, name: str) -> None:
    await database.client.drop_database(name)


def test_events_applied_to_an_old_state_show_what_a_fresh_client_shows(ground: Ground) -> None:
    # Not shrunk: that takes minutes. What fails is printed whole.
    @settings(
        max_examples=CASES,
        deadline=None,
        phases=(Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(stories, st.integers(0, 30), st.sampled_from([0, 1, 3, 10, 30]))
    def check(story: Sequence[Step], before: int, delay: int) -> None:
        ground.runner.run(ground.check(story, before, delay))

    check()


@pytest.mark.parametrize("delay", [0, 10])
@pytest.mark.parametrize("rare", RARE.values(), ids=RARE.keys())
def test_client_shows_what_a_fresh_one_shows_when(
    ground: Ground, rare: tuple[list[Step], int], delay: int
) -> None:
    ground.runner.run(ground.check(*rare, delay))


def test_client_counts_as_many_mentions_as_a_fresh_one_does(ground: Ground) -> None:
    async def check() -> None:
        world = World(ground.database, ground.redis)
        named: Sequence[Step] = [("post", (0, 0, 2, 1))] * 103
        story = [("member", (1, 0, 1)), ("work", (0, 20, 0, 0)), *named, ("work", (0, 103, 0, 0))]
        try:
            transcript, wanted, user = await play(world, story, before=2)
            assert wanted["unread"][world.channels[0]]["mentions"] == 100
            assert follow(transcript, user, delay=0).shown["unread"] == wanted["unread"]
        finally:
            await world.end()

    ground.runner.run(check())
