"""Which failures pass by themselves, and how long to wait before the next attempt."""

import asyncio
import random
from typing import Final

from aiokafka.errors import KafkaError
from pymongo.errors import (
    AutoReconnect,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.archive.marks import Overtaken
from app.errors import Unavailable
from app.outages import is_refused_for_now

ATTEMPTS: Final = 3
"""At something that does not pass by itself; then a record goes to the dead letters."""

_LONGEST_SECONDS: Final = 1.0
"""A dependency that is back is used within 2 s."""

_TRANSIENT: Final = (
    AutoReconnect,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
    RedisConnectionError,
    RedisTimeoutError,
    Unavailable,
    Overtaken,
    OSError,
    TimeoutError,
)


def is_transient(error: BaseException) -> bool:
    """Whether the same attempt will succeed once a dependency is well again."""
    if isinstance(error, _TRANSIENT):
        return True
    if isinstance(error, KafkaError):
        return bool(error.retriable)
    if isinstance(error, OperationFailure):
        return bool(error.has_error_label("RetryableWriteError"))
    return is_refused_for_now(error)


class Backoff:
    """Jittered waits between attempts: 50 ms, doubling, at most a second."""

    def __init__(self) -> None:
        self._seconds = 0.05
        self.attempts = 0

    async def wait(self) -> None:
        """Wait before the next attempt."""
        self.attempts += 1
        await asyncio.sleep(self._seconds * random.uniform(0.5, 1.0))
        self._seconds = min(self._seconds * 2, _LONGEST_SECONDS)
