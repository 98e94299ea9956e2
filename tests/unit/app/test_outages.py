"""What becomes of an outage that a request meets."""

import asyncio

import pytest
from pymongo.errors import AutoReconnect, DuplicateKeyError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, ResponseError

from app.errors import Unavailable
from app.outages import answering


async def test_answering_that_takes_too_long_is_unavailable() -> None:
    with pytest.raises(Unavailable) as raised:
        async with answering("mongodb", 0.01):
            await asyncio.sleep(1)
    assert raised.value.dependency == "mongodb"


@pytest.mark.parametrize("error", [AutoReconnect("gone"), TimeoutError()])
async def test_answering_that_meets_an_outage_is_unavailable(error: Exception) -> None:
    with pytest.raises(Unavailable):
        async with answering("mongodb", 1):
            raise error


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("gone"),
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ReadOnlyError("You can't write against a read only replica."),
        MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
        ResponseError("NOREPLICAS Not enough good replicas to write."),
        ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        ResponseError("BUSY Redis is busy running a script."),
        # As a script of Redis 6.2 says it.
        ResponseError(
            "Error running script (call to f_1): @user_script:33: -OOM command not allowed"
        ),
    ],
)
async def test_redis_that_refuses_for_now_is_unavailable(error: Exception) -> None:
    with pytest.raises(Unavailable):
        async with answering("redis", 1):
            raise error


@pytest.mark.parametrize("text", ["ERR wrong number of arguments", "WRONGTYPE a key named ROOM"])
async def test_redis_that_refuses_what_is_wrong_is_an_error(text: str) -> None:
    with pytest.raises(ResponseError):
        async with answering("redis", 1):
            raise ResponseError(text)


@pytest.mark.parametrize("error", [KeyError("x"), RedisConnectionError(), DuplicateKeyError("x")])
async def test_answering_leaves_other_errors_alone(error: Exception) -> None:
    with pytest.raises(type(error)):
        async with answering("mongodb", 1):
            raise error


async def test_answering_leaves_a_cancellation_alone() -> None:
    async def wait() -> None:
        async with answering("mongodb", 1):
            await asyncio.sleep(1)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
