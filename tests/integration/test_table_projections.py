"""Projections on a real Redis: written behind a table, read by gateways."""

from redis.asyncio import Redis as RedisClient

from tables.positions import Position
from tables.projections import Newest, project_numbers, write_numbers
from tables.readers import read_numbers


def newest(channel_id: str, number: int, offset: int, incarnation: str = "a") -> Newest:
    return Newest(channel_id, number, Position(incarnation, 0, offset))


async def test_numbers_are_read_as_written(redis: RedisClient) -> None:
    await write_numbers(redis, [newest("c:1", 7, 0), newest("c:2", 9, 1)])
    assert await read_numbers(redis, ["c:2", "unknown", "c:1"]) == [9, None, 7]
    assert await read_numbers(redis, []) == []


async def test_number_when_an_older_record_comes_late_stays(redis: RedisClient) -> None:
    await write_numbers(redis, [newest("c", 7, 10)])
    await write_numbers(redis, [newest("c", 6, 9)])
    assert await read_numbers(redis, ["c"]) == [7]
    await write_numbers(redis, [newest("c", 8, 100)])
    assert await read_numbers(redis, ["c"]) == [8]


async def test_number_when_topic_was_made_anew_is_replaced(redis: RedisClient) -> None:
    await write_numbers(redis, [newest("c", 7, 10)])
    await write_numbers(redis, [newest("c", 8, 0, incarnation="b")])
    assert await read_numbers(redis, ["c"]) == [8]


async def test_whole_partition_is_projected_from_its_entries(redis: RedisClient) -> None:
    entries = [
        (b'"c%d"' % n, b'{"number":%d,"position":["a",0,%d]}' % (n, n)) for n in range(1, 2500)
    ]
    await project_numbers(redis, entries)
    channel_ids = [f"c{n}" for n in range(1, 2500)]
    assert await read_numbers(redis, channel_ids) == list(range(1, 2500))
