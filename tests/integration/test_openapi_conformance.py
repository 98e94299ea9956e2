"""A gateway answers as its OpenAPI document says: to what it allows, and to what it does not."""

from collections.abc import Iterator
from typing import Any, Final

import orjson
import pytest
import schemathesis
from requests import Session
from schemathesis import Case, Config
from schemathesis.core.transport import Response

from dev.processes import Process
from tests.support.rest import ALICE
from tests.support.stack import running_stack
from web.openapi import describe_calls
from web.routes import CALLS

STREAMS: Final = ("/ws", "/api/events")
"""They do not end; tests/integration/test_ws.py and test_sse.py are about them."""

BEYOND_SCHEMAS: Final = {
    # A sender's name, which a header may say too.
    "Field required",
    # JSON Schema takes 1.0 for an integer.
    "Input should be a valid integer",
    "excludes before",
    "integers must fit into 64 bits",
    "must be at most 4 KB of JSON",
    "must be a message of this channel",
    "must be the Idempotency-Key, where both are given",
    "must name one other user",
    "names no message of this channel",
    "names no notification of this user",
    "numbers must fit into a double",
    "this key was used for another message",
}
"""What is refused although it is as the schemas say: rules that JSON Schema cannot express."""


def describe(modes: str, examples: int) -> Any:
    config = {
        "generation": {
            "mode": modes,
            "max-examples": examples,
            "deterministic": True,
            "database": "none",
        },
        # Here it is asked more strictly, of every answer.
        "checks": {"positive_data_acceptance": {"enabled": False}},
    }
    document = orjson.loads(orjson.dumps(describe_calls(CALLS)))
    schema = schemathesis.openapi.from_dict(document, config=Config.from_dict(config))
    return schema.exclude(path=list(STREAMS))


# Fixed examples: `deterministic` derives them from the test itself.
anything = describe("all", 8)
wanted = describe("positive", 4)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with running_stack(tmp_path_factory.mktemp("openapi")) as stack:
        yield stack.start("web.1", "messages.1")[0]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


@anything.parametrize()  # type: ignore[untyped-decorator]  # schemathesis has no type for it
def test_answer_is_one_that_the_document_describes(
    gateway: Process, session: Session, case: Case[Any]
) -> None:
    response = case.call_and_validate(base_url=gateway.url, session=session)
    meta = case.meta
    if meta is not None and meta.generation.mode.is_positive and response.status_code == 422:
        assert problems_of(response) <= BEYOND_SCHEMAS


@wanted.parametrize()  # type: ignore[untyped-decorator]  # the same
def test_call_about_what_there_is_succeeds_and_is_answered_as_described(
    gateway: Process, session: Session, case: Case[Any]
) -> None:
    case.headers.update(ALICE)
    for name in ("userId", "userName"):
        case.query.pop(name, None)
    if isinstance(case.body, dict):
        # Others than Alice would be forbidden, and there is nothing to reply to.
        left_out = ("senderId", "senderName", "replyTo")
        case.body = {k: v for k, v in case.body.items() if k not in left_out}
    for name, value in existing(gateway, session, case.path).items():
        if name in case.path_parameters:
            case.path_parameters[name] = value
    response = case.call_and_validate(base_url=gateway.url, session=session)
    if response.status_code >= 400:
        assert problems_of(response) <= BEYOND_SCHEMAS


def existing(gateway: Process, session: Session, path: str) -> dict[str, str]:
    """Make what `path` is about, and return the ids in it."""
    if "/messages/" not in path:
        return {"id": "alice" if "/users/" in path else "general"}
    body = {"channelId": "general", "content": "Hello", "mentions": ["alice"]}
    response = session.post(f"{gateway.url}/api/messages", json=body, headers=ALICE)
    return {"id": response.json()["id"]}


def problems_of(response: Response) -> set[str]:
    """What a refusal says of each field, or its detail."""
    problem = response.json()
    return {error["message"] for error in problem.get("errors", ())} or {problem["detail"]}
