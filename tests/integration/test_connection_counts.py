"""A gateway's lease and counts on a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis

from app.keys import connection_counts, gateway_lease, online
from tests.support.waiting import until
from web import connection_counts as module
from web import crowds
from web.connection_counts import ConnectionCounts, count_connections, find_online


@pytest.fixture
def lapses() -> list[str]:
    return []


@pytest.fixture
async def counts(
    redis: Redis, lapses: list[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ConnectionCounts]:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.05)
    counts = ConnectionCounts(redis, "g1", lapses.append)
    counts.start()
    yield counts
    await counts.stop(10)


async def test_counts_are_summed_over_gateways_that_live(
    redis: Redis, counts: ConnectionCounts
) -> None:
    other = ConnectionCounts(redis, "g2", lambda _: None)
    other.start()
    counts.add(connection_counts("c"), 2)
    other.add(connection_counts("c"), 3)
    await redis.hset(connection_counts("c"), "dead", "100")
    await until(lambda: _equals(redis, 5))
    await other.stop(10)
    assert await count_connections(redis, "c") == 2


async def _equals(redis: Redis, count: int) -> bool:
    return await count_connections(redis, "c") == count


async def test_user_is_online_until_the_last_connection_went(
    redis: Redis, counts: ConnectionCounts
) -> None:
    counts.add(online("ann"), 1)
    counts.add(online("ann"), 1)
    counts.add(online("bob"), 1)
    counts.add(online("ann"), -1)

    async def are(ann: bool, bob: bool) -> bool:
        return await find_online(redis, ["ann", "bob", "nobody"]) == [ann, bob, False]

    await until(lambda: are(True, True))
    counts.add(online("ann"), -1)
    await until(lambda: are(False, True))
    assert await redis.exists(online("ann")) == 0


async def test_lapsed_lease_is_never_taken_up_again(
    redis: Redis, counts: ConnectionCounts, lapses: list[str]
) -> None:
    counts.add(connection_counts("c"), 1)
    await until(lambda: _equals(redis, 1))
    await redis.flushall()
    await until(lambda: _equals(redis, 1))
    assert lapses == [counts.gateway_id]
    assert counts.gateway_id != "g1"
    assert await redis.exists(gateway_lease("g1")) == 0
    await asyncio.sleep(0.3)
    assert len(lapses) == 1


async def test_counts_are_written_again_before_they_are_cleared(
    redis: Redis, counts: ConnectionCounts
) -> None:
    for number in range(50):
        counts.add(connection_counts(f"c{number}"), 1)
    await until(lambda: _all_expire_late(redis))
    for number in range(50):
        await redis.expire(connection_counts(f"c{number}"), 5)

    await until(lambda: _all_expire_late(redis))


async def _all_expire_late(redis: Redis) -> bool:
    left = [await redis.ttl(connection_counts(f"c{number}")) for number in range(50)]
    return min(left) > 5


async def test_counts_that_change_while_others_are_written_travel_together(
    redis: Redis, counts: ConnectionCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowds, "GATHER_SECONDS", 0.05)
    monkeypatch.setattr(crowds, "CROWD_SECONDS", 0)
    trips = 0
    write = counts._script

    async def write_slowly(keys: Sequence[str], args: Sequence[str | int]) -> None:
        nonlocal trips
        trips += 1
        await asyncio.sleep(0.01)
        await write(keys=keys, args=args)

    monkeypatch.setattr(counts, "_script", write_slowly)
    began = time.monotonic()
    for _ in range(100):
        counts.add(connection_counts("c"), 1)
        await asyncio.sleep(0.005)
    await until(lambda: _equals(redis, 100))
    # Each has waited, but for one that was under way.
    assert trips <= 1 + (time.monotonic() - began) / 0.05


async def test_stop_gives_the_lease_back(redis: Redis, counts: ConnectionCounts) -> None:
    counts.add(connection_counts("c"), 1)
    await until(lambda: _equals(redis, 1))
    counts.add(connection_counts("c"), -1)
    await counts.stop(10)
    assert await redis.exists(gateway_lease("g1"), connection_counts("c")) == 0
