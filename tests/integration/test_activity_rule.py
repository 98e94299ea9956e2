"""The activity rule on a real Redis: its lists, and how little clients are told of a crowd."""

import asyncio
import time
from typing import cast

import pytest
from redis.asyncio import Redis

from agents.active_lists import ActiveLists, cut
from app.keys import ACTIVE_SECONDS, active_names, active_users, channel_stream
from tests.support.activity import CHANNEL, Bench, listening

CROWD = range(2000)


@pytest.fixture
def bench(redis: Redis) -> Bench:
    return Bench(redis)


async def until_told(bench: Bench) -> None:
    """Return when clients know all that the herald owes them."""
    async with asyncio.timeout(30):
        while bench.herald._is_owing.is_set():
            await asyncio.sleep(0.02)


async def test_crowd_that_comes_back_within_the_grace_is_told_to_nobody(
    redis: Redis, bench: Bench
) -> None:
    telling = asyncio.create_task(bench.herald.run())
    await bench.handle("user_joined", CROWD, "before")
    await until_told(bench)
    async with listening(redis, channel_stream(CHANNEL).live) as frames:
        await bench.handle("session_closing", CROWD, "before")
        await bench.handle("user_joined", CROWD, "after")
        await bench.handle("session_expired", CROWD, "before")
        await until_told(bench)
    telling.cancel()
    assert frames == []
    assert await redis.zcard(active_users(CHANNEL)) == len(CROWD)


async def test_crowd_of_newcomers_is_ten_notices_and_a_count_a_second(
    redis: Redis, bench: Bench
) -> None:
    began = time.monotonic()
    async with listening(redis, channel_stream(CHANNEL).live) as frames:
        telling = asyncio.create_task(bench.herald.run())
        await bench.handle("user_joined", CROWD)
        await until_told(bench)
        telling.cancel()
    seconds = time.monotonic() - began
    single = [frame for frame in frames if frame["type"] == "user_joined"]
    counts = [frame["data"] for frame in frames if frame["type"] == "presence"]
    assert len(single) <= 10
    assert 1 <= len(counts) <= seconds
    assert counts[-1] == {"joined": [], "left": [], "count": len(CROWD)}


async def test_lists_hold_names_and_lapse(redis: Redis, bench: Bench) -> None:
    await bench.handle("user_joined", range(3))
    await bench.handle("user_left", [1])
    assert await redis.hgetall(active_names(CHANNEL)) == {b"u0": b"User 0", b"u2": b"User 2"}
    found = await redis.zrange(active_users(CHANNEL), 0, -1, withscores=True)
    scores = cast("list[tuple[bytes, float]]", found)
    now_ms = time.time() * 1000
    assert [user for user, _ in scores] == [b"u0", b"u2"]
    assert all(0 < score - now_ms <= ACTIVE_SECONDS * 1000 for _, score in scores)
    for key in (active_users(CHANNEL), active_names(CHANNEL)):
        assert 0 < await redis.ttl(key) <= ACTIVE_SECONDS


async def test_last_user_leaves_no_key(redis: Redis, bench: Bench) -> None:
    await bench.handle("user_joined", [1])
    await bench.handle("user_left", [1])
    assert await redis.exists(active_users(CHANNEL), active_names(CHANNEL)) == 0
    assert bench.table.entries == {}


async def test_batch_that_failed_is_done_again_from_the_table(redis: Redis, bench: Bench) -> None:
    await bench.handle("user_joined", [1])
    bench.rule.forget(0)
    await bench.handle("user_joined", [1], "other")
    await bench.handle("user_left", [1])
    assert await redis.zrange(active_users(CHANNEL), 0, -1) == [b"u1"]


async def test_rewrite_leaves_exactly_the_given_users(redis: Redis) -> None:
    lists = ActiveLists(redis)
    await redis.set(active_users("wrong"), "of another type")
    await redis.zadd(active_users(CHANNEL), {"ghost": 2e15})
    await lists.rewrite({"wrong": {"u1": "Ann"}, CHANNEL: {"u2": "Bob"}, "empty": {}})
    assert await redis.zrange(active_users("wrong"), 0, -1) == [b"u1"]
    assert await redis.zrange(active_users(CHANNEL), 0, -1) == [b"u2"]
    assert await redis.exists(active_users("empty")) == 0


async def test_partition_is_due_until_it_was_renewed(redis: Redis) -> None:
    lists = ActiveLists(redis)
    await redis.set("gateway:living", 1)
    assert await lists.look(["living", "dead"], [0, 1]) == ({"dead"}, {0, 1})
    await lists.mark_renewed(1)
    assert await lists.look([], [0, 1]) == (set(), {0})


def test_rewrites_are_cut_by_users_not_by_channels() -> None:
    assert list(cut([("a", 600), ("b", 600), ("c", 300), ("d", 5000)])) == [
        ["a"],
        ["b", "c"],
        ["d"],
    ]
