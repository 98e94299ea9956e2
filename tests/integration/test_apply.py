"""A client that applied the stream shows what a fresh one shows: `apply(events, old) == fresh`.

Posts, edits, deletions, reactions, reads, memberships, sessions, notifications, the topics in any
order; batches that come again or are cut off; pages that overlap with events; streams that are
resumed, replayed by history, or lost. The rules, MongoDB and Redis are the real ones.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis as RedisClient

from app.archive.indexes import ensure_indexes
from app.clients import Database, open_mongodb, open_redis
from app.settings import load
from dev.servers import MongoDB, Redis
from tests.support.transcripts import Step, follow, play, stories
from tests.support.world import World

CASES = 60
# Found by thinking, and too rare to be found by chance.
CAME_AND_LEFT_WHILE_ONE_JOINED: list[Step] = [
    ("crowd", (0, 14, 1)),
    ("work", (3, 20, 0, 0)),
    ("return", (0,)),
    ("crowd", (0, 14, 0)),
    ("work", (3, 20, 0, 0)),
]
RENAMED_AND_LEFT_WITHIN_A_SECOND: list[Step] = [
    ("session", (0, 0, 0, 0, 0)),
    ("work", (3, 20, 0, 0)),
    ("second", ()),
    ("hear", (1, 6)),
    ("crowd", (0, 14, 1)),
    ("session", (0, 0, 0, 0, 1)),
    ("work", (3, 20, 0, 0)),
    ("session", (0, 0, 0, 2, 1)),
    ("work", (3, 20, 0, 0)),
]


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
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @example(CAME_AND_LEFT_WHILE_ONE_JOINED, 0, 0)
    @example(RENAMED_AND_LEFT_WITHIN_A_SECOND, 0, 0)
    @given(stories, st.integers(0, 30), st.sampled_from([0, 1, 3, 10, 30]))
    def check(story: Sequence[Step], before: int, delay: int) -> None:
        ground.runner.run(ground.check(story, before, delay))

    check()
