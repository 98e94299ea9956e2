"""What a client sent, as a model, or the error that names each field that is wrong."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from app.errors import FieldError, RequestError
from web.fields import IdempotencyKey

NAMED_ERRORS: Final = 20
"""Errors named in an answer; a hostile body could have thousands."""

Model = TypeVar("Model", bound=BaseModel)

_idempotency_key = TypeAdapter(IdempotencyKey)


def decode(data: bytes | str) -> dict[str, Any]:
    """Return the JSON object that `data` spells, its integers exact at any size.

    Raises:
        RequestError: `bad_json`, or `invalid` if it is JSON but no object.
    """
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError("bad_json", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(
            "invalid", "must be a JSON object", [FieldError("", "must be an object")]
        )
    return value


def parse(model: type[Model], data: bytes | Mapping[str, Any]) -> Model:
    """Return `data`, the text of a JSON object or one decoded before, as a `model`.

    Raises:
        RequestError: `bad_json`, or `invalid` with each wrong field by its name on the wire.
    """
    try:
        if isinstance(data, bytes):
            return model.model_validate_json(data)
        return model.model_validate(data)
    except ValidationError as error:
        raise _request_error(error) from None


def check_idempotency_key(value: str) -> str:
    """Return the value of an `Idempotency-Key` header.

    Raises:
        RequestError: `invalid`, it is not 1 to 255 characters, or has control characters.
    """
    try:
        return _idempotency_key.validate_python(value)
    except ValidationError as error:
        message = error.errors(include_url=False, include_input=False)[0]["msg"]
        field = FieldError("Idempotency-Key", message)
        raise RequestError("invalid", f"Idempotency-Key: {message}", [field]) from None


def _request_error(error: ValidationError) -> RequestError:
    found = error.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return RequestError("bad_json", f"the body is not JSON: {found[0]['msg']}")
    errors = [FieldError(_path(item), item["msg"]) for item in found[:NAMED_ERRORS]]
    first = errors[0]
    return RequestError("invalid", f"{first.path or 'body'}: {first.message}", errors)


def _path(found: ErrorDetails) -> str:
    *parents, last = found["loc"] or ("",)
    # Pydantic's name for the key itself, which is named before it.
    location = parents if last == "[key]" else [*parents, last]
    # A rule about several fields has no location, and names one of them itself.
    said = ".".join(map(str, location)) or found.get("ctx", {}).get("path", "")
    return str(said)[:200].encode(errors="replace").decode()
