"""Every error as a client is told it."""

import orjson
import pytest
from aiokafka.errors import KafkaConnectionError, UnknownError
from pymongo.errors import AutoReconnect, NetworkTimeout, OperationFailure, WTimeoutError
from redis.exceptions import BusyLoadingError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from app.errors import FieldError, RequestError, Unavailable
from web.problems import CODES, describe


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_status_and_title(code: str) -> None:
    problem = describe(RequestError(code, "why", [FieldError("a.0", "wrong")]))
    body = orjson.loads(problem.body)
    assert 400 <= problem.status <= 503
    assert body == {
        "type": f"/api/docs/errors#{code}",
        "title": problem.title,
        "status": problem.status,
        "detail": "why",
        "code": code,
        "errors": [{"path": "a.0", "message": "wrong"}],
    }


@pytest.mark.parametrize(
    ("error", "dependency"),
    [
        (Unavailable("redis"), "redis"),
        (RedisConnectionError(), "redis"),
        (BusyLoadingError(), "redis"),
        (AutoReconnect(), "mongodb"),
        (NetworkTimeout(), "mongodb"),
        (WTimeoutError("late"), "mongodb"),
        (KafkaConnectionError(), "kafka"),
        (UnknownError(), "kafka"),
    ],
)
def test_outage_is_unavailable_and_names_the_dependency(error: Exception, dependency: str) -> None:
    problem = describe(error)
    assert (problem.code, problem.status, problem.dependency) == ("unavailable", 503, dependency)
    assert problem.retry_after_seconds is not None
    assert orjson.loads(problem.body)["dependency"] == dependency


@pytest.mark.parametrize(
    "error", [ValueError("secret"), OperationFailure("secret"), ResponseError("secret")]
)
def test_anything_else_is_internal_and_tells_nothing(error: Exception) -> None:
    problem = describe(error)
    assert (problem.code, problem.status) == ("internal", 500)
    assert b"secret" not in problem.body
