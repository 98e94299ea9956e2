"""JSON in and out: a request's body checked against its model, an answer of ready bytes."""

from typing import Final, TypeVar

from aiohttp import web
from pydantic import BaseModel

from app.errors import FieldError, RequestError
from app.ids import is_message_id
from web.schemas import parse

JSON: Final = "application/json"

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """Return the request's body as a `model`; an absent one is `{}` if no field is required.

    Raises:
        RequestError: `unsupported_media_type`, `bad_json` or `invalid`.
        HTTPRequestEntityTooLarge: it has more than 64 KiB.
    """
    data = await request.read()
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
    query = request.query
    for name in query:
        if len(query.getall(name)) > 1:
            errors = [FieldError(name[:200].encode(errors="replace").decode(), "is given twice")]
            raise RequestError("invalid", "a parameter is given twice", errors)
    return parse(model, {k: v for k, v in query.items() if k not in ("userId", "userName")})


def message_id_of(request: web.Request) -> str:
    """Return the message's id in the path.

    Raises:
        RequestError: `invalid`, it is no message id.
    """
    value = request.match_info["id"]
    if not is_message_id(value):
        raise RequestError("invalid", "id is no message id", [FieldError("id", "is no message id")])
    return value


def answer(
    body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return an answer of JSON that is ready."""
    # Set as a header: `content_type=` has aiohttp put the same string together every time.
    return web.Response(body=body, status=status, headers={"Content-Type": JSON, **(headers or {})})
