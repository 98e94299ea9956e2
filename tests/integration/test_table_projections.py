"""Projections on a real Redis: written behind a table, read by gateways."""

import asyncio
from collections.abc import Sequence

import orjson
from redis.asyncio import Redis as RedisClient

from app.keys import newest_number
from dev.servers import Redis
from tables.positions import Position
from tables.projections import (
    Projection,
    number_projection,
    project_numbers,
    project_read_states,
    projection_calls,
    read_state_projection,
    write_projections,
)
from tables.readers import ReadChannel, read_channels, read_numbers, read_receipts


def newest(channel_id: str, number: int, offset: int, incarnation: str = "a") -> Projection:
    return number_projection(channel_id, number, Position(incarnation, 0, offset))


def state(
    channel_id: str,
    user_id: str,
    read: int,
    offset: int,
    mentions: Sequence[int] = (),
    *,
    left: bool = False,
) -> Projection:
    return read_state_projection(
        channel_id, user_id, read=read, mentions=mentions, position=["a", 0, offset], left=left
    )


async def test_numbers_are_read_as_written(redis: RedisClient) -> None:
    await write_projections(redis, [newest("c:1", 7, 0), newest("c:2", 9, 1)])
    assert await read_numbers(redis, ["c:2", "unknown", "c:1"]) == [9, None, 7]
    assert await read_numbers(redis, []) == []


async def test_number_when_an_older_record_comes_late_stays(redis: RedisClient) -> None:
    await write_projections(redis, [newest("c", 7, 10)])
    await write_projections(redis, [newest("c", 6, 9)])
    assert await read_numbers(redis, ["c"]) == [7]
    await write_projections(redis, [newest("c", 8, 100)])
    assert await read_numbers(redis, ["c"]) == [8]


async def test_number_when_topic_was_made_anew_is_replaced(redis: RedisClient) -> None:
    await write_projections(redis, [newest("c", 7, 10)])
    await write_projections(redis, [newest("c", 8, 0, incarnation="b")])
    assert await read_numbers(redis, ["c"]) == [8]


async def test_whole_partition_is_projected_from_its_entries(redis: RedisClient) -> None:
    entries = [
        (b'"c%d"' % n, b'{"number":%d,"position":["a",0,%d]}' % (n, n)) for n in range(1, 2500)
    ]
    await project_numbers(redis, entries)
    channel_ids = [f"c{n}" for n in range(1, 2500)]
    assert await read_numbers(redis, channel_ids) == list(range(1, 2500))


async def test_keys_of_a_wrong_type_and_foreign_values_are_replaced(redis: RedisClient) -> None:
    await redis.hset("number:c", "a", "b")
    await redis.set("number:d", "17")
    await redis.set("read:u", "17")
    await write_projections(redis, [newest("c", 7, 1), newest("d", 8, 1), state("c", "u", 7, 1)])
    assert await read_numbers(redis, ["c", "d"]) == [7, 8]
    assert await read_receipts(redis, "c", ["u"]) == [7]


async def test_channels_of_a_user_are_read_with_their_counts(redis: RedisClient) -> None:
    await write_projections(
        redis,
        [newest("c:1", 7, 9), newest("c:2", 9, 1), state("c:1", "u", 4, 9, [5, 7]),
         state("c:2", "u", 9, 3), state("none", "u", 0, 4), state("c:2", "v", 1, 5)],
    )  # fmt: skip
    channels = await read_channels(redis, "u")
    assert channels == [
        ReadChannel("c:1", 4, 2, 7), ReadChannel("c:2", 9, 0, 9), ReadChannel("none", 0, 0, 0),
    ]  # fmt: skip
    assert [channel.unread for channel in channels] == [3, 0, 0]
    assert await read_channels(redis, "nobody") == []


async def test_mention_that_comes_while_counts_are_read_is_said_with_its_number_or_not_at_all(
    redis: RedisClient, redis_server: Redis
) -> None:
    """A client counts the events above the number, and no others."""
    other = RedisClient(port=redis_server.port)
    await write_projections(redis, [newest("c", 5, 5), state("c", "u", 5, 5)])

    async def bring_mentions() -> None:
        for number in range(6, 206):
            mentions = [*range(6, number + 1)]
            await write_projections(
                other, [newest("c", number, number), state("c", "u", 5, number, mentions)]
            )

    bringing = asyncio.create_task(bring_mentions())
    said = []
    while not bringing.done():
        [channel] = await read_channels(redis, "u")
        said.append((channel.number, channel.mentions))
    await bringing
    await other.aclose()
    assert len({number for number, _ in said}) > 5, "nothing came in between"
    assert [mentions for _, mentions in said] == [number - 5 for number, _ in said]


async def test_mention_above_the_newest_number_does_not_count_yet(redis: RedisClient) -> None:
    await write_projections(redis, [newest("c", 5, 5), state("c", "u", 3, 6, [4, 6])])
    assert await read_channels(redis, "u") == [ReadChannel("c", 3, 1, 5)]


def test_read_states_are_written_before_the_numbers_that_count_for_them() -> None:
    projections = [newest("c", 6, 6), *(state("c", f"u{n}", 5, 6, [6]) for n in range(1500))]
    keys = [key for _, keys, _ in projection_calls(projections) for key in keys]
    assert keys[-1] == newest_number("c")


async def test_read_state_when_an_older_record_comes_late_stays(redis: RedisClient) -> None:
    await write_projections(redis, [state("c", "u", 7, 10), state("c", "u", 5, 9)])
    assert await read_receipts(redis, "c", ["u"]) == [7]
    await write_projections(redis, [state("c", "u", 8, 11)])
    assert await read_receipts(redis, "c", ["u", "nobody"]) == [8, None]


async def test_read_state_of_one_who_left_is_none_and_stays_none(redis: RedisClient) -> None:
    await write_projections(redis, [state("c", "u", 7, 10, left=True), state("c", "u", 7, 9)])
    assert await read_channels(redis, "u") == []
    assert await read_receipts(redis, "c", ["u"]) == [None]


async def test_whole_partition_of_read_states_is_projected_from_its_entries(
    redis: RedisClient,
) -> None:
    entries = [
        (
            orjson.dumps([f"c{n}", "u:1"]),
            orjson.dumps({"read": n, "mentions": [], "position": ["a", 0, n], "left": False}),
        )
        for n in range(1, 1500)
    ]
    await project_read_states(redis, entries)
    assert {c.channel_id: c.read for c in await read_channels(redis, "u:1")} == {
        f"c{n}": n for n in range(1, 1500)
    }
