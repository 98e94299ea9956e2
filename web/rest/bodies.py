"""Requests and answers: what a request says, checked, and an answer of ready bytes."""

import asyncio
from functools import wraps
from typing import Final, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel

from app.errors import FieldError, RequestError
from app.ids import is_given_id, is_message_id
from app.telemetry.tracing import traceparent_of
from web.identity import USER_PARAMETERS, User, user_of
from web.parsing import NAMED_ERRORS, parse

JSON: Final = "application/json"

BODY_SECONDS: Final = 30.0
"""64 KiB at 18 kbit/s."""

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """Return the request's body as a `model`; an absent one is `{}` if no field is required.

    Raises:
        RequestError: `unsupported_media_type`, `bad_json` or `invalid`.
        HTTPRequestEntityTooLarge: it has more than 64 KiB.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            data = await request.read()
    except OSError:
        # Too late, or the client is gone: its connection's errors are raised here, too.
        raise RequestError("bad_json", "the body has not come") from None
    if not data and not any(field.is_required() for field in model.model_fields.values()):
        return parse(model, {})
    if data and request.content_type != JSON:
        raise RequestError("unsupported_media_type", "send Content-Type: application/json")
    return parse(model, data)


def read_query(request: web.Request, model: type[Model]) -> Model:
    """Return the request's query as a `model`, but for the two that say who asks.

    Raises:
        RequestError: `invalid`, also if a parameter is given twice.
    """
    return parse(model, _parameters(request))


def without_query(handler: Handler) -> Handler:
    """Return a handler that refuses every query but the two parameters that say who asks."""

    @wraps(handler)
    async def refuse_query(request: web.Request) -> web.StreamResponse:
        if request.query_string and (unknown := _parameters(request)):
            errors = [_named(name, "is not known here") for name in unknown][:NAMED_ERRORS]
            raise RequestError("invalid", f"{errors[0].path} {errors[0].message}", errors)
        return await handler(request)

    return refuse_query


def _parameters(request: web.Request) -> dict[str, str]:
    query = request.query
    for name in query:
        if len(query.getall(name)) > 1:
            raise RequestError(
                "invalid", "a parameter is given twice", [_named(name, "is given twice")]
            )
    return {name: value for name, value in query.items() if name not in USER_PARAMETERS}


def _named(name: str, message: str) -> FieldError:
    return FieldError(name[:200].encode(errors="replace").decode(), message)


def message_id_of(request: web.Request) -> str:
    """Return the message's id in the path.

    Raises:
        RequestError: `invalid`, it is no message id.
    """
    value = request.match_info["id"]
    if not is_message_id(value):
        raise RequestError("invalid", "id is no message id", [FieldError("id", "is no message id")])
    return value


def given_id_of(request: web.Request, name: str = "id") -> str:
    """Return a channel's or a user's id that is in the path under this name.

    Raises:
        RequestError: `invalid`, it is no such id.
    """
    value = request.match_info[name]
    if not is_given_id(value):
        message = "must be 1 to 64 of A-Z a-z 0-9 _ . : -"
        raise RequestError("invalid", f"{name} {message}", [FieldError(name, message)])
    return value


def owner_of(request: web.Request) -> User:
    """Return who asks, who must be the user in the path.

    Raises:
        RequestError: `forbidden`, they are another; `not_authenticated` or `invalid`.
    """
    user_id, user = given_id_of(request, "id"), user_of(request)
    if user.id != user_id:
        raise RequestError("forbidden", "these are another user's")
    return user


def traceparent_in(request: web.Request) -> str:
    """Return the request's trace context, or a new one."""
    return traceparent_of(request.headers.get("traceparent"))


def answer(
    body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return an answer of JSON that is ready."""
    # Set as a header: `content_type=` has aiohttp put the same string together every time.
    return web.Response(body=body, status=status, headers={"Content-Type": JSON, **(headers or {})})
