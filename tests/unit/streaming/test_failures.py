"""What passes by itself."""

import pytest
from aiokafka.errors import MessageSizeTooLargeError, RequestTimedOutError
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, ResponseError

from app.errors import Unavailable
from app.streaming.failures import is_transient


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("gone"),
        RedisConnectionError("gone"),
        ResponseError("OOM command not allowed when used memory > 'maxmemory'"),
        ResponseError("READONLY You can't write against a read only replica"),
        MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
        RequestTimedOutError(),
        Unavailable("mongodb"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
)
def test_failure_of_a_dependency_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("number"),
        ResponseError("ERR user_script:12: attempt to compare nil with number"),
        DuplicateKeyError("E11000"),
        BulkWriteError({"writeErrors": []}),
        MessageSizeTooLargeError(),
    ],
)
def test_failure_of_the_work_itself_is_not(error: Exception) -> None:
    assert not is_transient(error)
