"""Outages of Redis, MongoDB and Kafka: which errors are one, and how long an answer may take."""

import asyncio
import re
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final

from aiokafka.errors import KafkaError
from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from redis.exceptions import (
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from app.errors import Unavailable

NOT_PRIMARY_CODES: Final = frozenset({91, 189, 10058, 10107, 11600, 11602, 13435, 13436})
"""Error codes of a primary that steps down or shuts down while it writes (MongoDB's
error_codes.yml, categories NotPrimaryError and ShutdownError)."""

_REFUSED_FOR_NOW: Final = re.compile(
    r"\b(?:LOADING|READONLY|OOM|BUSY|MASTERDOWN|MISCONF|NOREPLICAS)\b"
)
"""Codes that redis-py has no class for, or that a script of Redis 6 hands on in its own error."""

Outage = (RedisError, PyMongoError, KafkaError, OSError, TimeoutError)


def is_refused_for_now(error: BaseException) -> bool:
    """Whether Redis has answered that it cannot do this now: it is full, read-only, busy, without
    its master, its disk or enough replicas."""
    if isinstance(error, (OutOfMemoryError, ReadOnlyError, MasterDownError)):
        return True
    return isinstance(error, ResponseError) and bool(_REFUSED_FOR_NOW.search(str(error)))


def dependency_of(error: BaseException) -> str | None:
    """Return the dependency whose outage `error` is; None if it is anything else."""
    if isinstance(error, KafkaError):
        return "kafka"
    if isinstance(error, RedisError) and (
        not isinstance(error, ResponseError) or is_refused_for_now(error)
    ):
        return "redis"
    lost = isinstance(error, (ConnectionFailure, ExecutionTimeout, WriteConcernError))
    if lost or (
        isinstance(error, OperationFailure) and error.has_error_label("RetryableWriteError")
    ):
        return "mongodb"
    return None


def answering(dependency: str, timeout_seconds: float) -> AbstractAsyncContextManager[None]:
    """Bound what is awaited inside, and tell an outage of `dependency` from other errors.

    Raises:
        Unavailable: it failed as an outage does, or took longer than `timeout_seconds`.
    """
    return _Answering(dependency, asyncio.timeout(timeout_seconds))


class _Answering:
    """A class, since it is around every request: a generator costs twice as much."""

    __slots__ = ("_dependency", "_timeout")

    def __init__(self, dependency: str, timeout: asyncio.Timeout) -> None:
        self._dependency = dependency
        self._timeout = timeout

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as late:
            raise Unavailable(self._dependency) from late
        is_outage = isinstance(error, Exception) and dependency_of(error) == self._dependency
        if is_outage or isinstance(error, TimeoutError):
            raise Unavailable(self._dependency) from error
