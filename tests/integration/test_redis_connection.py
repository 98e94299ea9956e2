"""How commands reach a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis as RedisClient
from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dev.servers import Redis

LARGE = b"x" * 8_000_000


@pytest.fixture
async def connection(redis: RedisClient) -> AsyncIterator[Any]:
    connection: Any = redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    await connection.connect()
    transport = connection._writer.transport
    yield connection
    await connection.disconnect()
    transport.abort()  # It may still have something to send.
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "key", b"\x00\r\n$1\xff"),
        ("SCRIPT LOAD", "return 'ü'"),
        (b"EVALSHA", "0" * 40, 1, "k", -7, 2.5, ""),
        ("SET", "large", LARGE),
    ],
)
async def test_commands_are_the_bytes_that_redis_py_sends(
    connection: Any, command: tuple[Any, ...]
) -> None:
    expected = b"".join(Connection.pack_command(connection, *command))
    assert b"".join(connection.pack_command(*command)) == expected
    assert b"".join(connection.pack_commands([command, command])) == 2 * expected


async def test_commands_that_the_socket_does_not_take_at_once_arrive_in_order(
    redis: RedisClient,
) -> None:
    async with redis.pipeline(transaction=False) as pipeline:
        for index in range(5):
            pipeline.append("list", b"%d" % index + LARGE)
        pipeline.strlen("list")
        assert (await pipeline.execute())[-1] == 5 * (len(LARGE) + 1)
    assert await redis.getrange("list", len(LARGE) + 1, len(LARGE) + 3) == b"1xx"


async def test_answers_that_come_together_are_those_of_their_commands(redis: RedisClient) -> None:
    await redis.set("large", LARGE)
    async with redis.pipeline(transaction=False) as pipeline:
        for index in range(100):
            pipeline.echo(str(index))
            pipeline.get("nothing")
            pipeline.lpush("large", "x")
            pipeline.rpush("list", index)
        pipeline.get("large")
        pipeline.lrange("list", 0, 2)
        answers = await pipeline.execute(raise_on_error=False)
    assert answers[0:400:4] == [b"%d" % index for index in range(100)]
    assert answers[1:400:4] == [None] * 100
    assert all(isinstance(answer, ResponseError) for answer in answers[2:400:4])
    assert answers[3:400:4] == list(range(1, 101))
    assert answers[400:] == [LARGE, [b"0", b"1", b"2"]]


async def test_redis_that_takes_nothing_any_more_is_an_outage(
    redis_server: Redis, connection: Any
) -> None:
    connection.socket_timeout = 0.2
    redis_server.freeze()
    try:
        await connection.send_command("SET", "key", LARGE)
        with pytest.raises(RedisTimeoutError):
            await connection.send_command("SET", "key", LARGE)
    finally:
        redis_server.thaw()
    assert not connection.is_connected


async def test_command_after_the_connection_was_lost_is_an_outage(
    redis: RedisClient, connection: Any
) -> None:
    await connection.send_command("CLIENT", "ID")
    await redis.client_kill_filter(_id=str(await connection.read_response()))
    with pytest.raises(RedisConnectionError):
        for _ in range(2):
            await connection.send_command("PING")
            await connection.read_response()
