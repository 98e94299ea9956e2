"""What went wrong, as clients are told it: RFC 9457, one table of codes for every transport."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from app.clients import dependency_of
from app.errors import FieldError, RequestError, Unavailable

CODES: Final[Mapping[str, tuple[int, str]]] = {
    "bad_json": (400, "The body is not JSON"),
    "not_authenticated": (401, "Who is asking?"),
    "forbidden": (403, "Not allowed"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "Not with this method"),
    "conflict": (409, "It is not in a state for this"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be application/json"),
    "invalid": (422, "Something in the request is wrong"),
    "idempotency_conflict": (422, "The key was used for something else"),
    "too_many_channels": (422, "Too many channels"),
    "rate_limited": (429, "Too much at once"),
    "internal": (500, "A fault of the server"),
    "unavailable": (503, "A dependency does not answer"),
}
"""code -> HTTP status, title"""

RETRY_AFTER_SECONDS: Final = 2
"""A dependency that is back is used within this time."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in the words of docs/protocol.md."""

    code: str
    status: int
    title: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    dependency: str | None = None
    retry_after_seconds: int | None = None

    @property
    def body(self) -> bytes:
        """The JSON of `application/problem+json`."""
        fields: dict[str, Any] = {
            "type": f"/api/docs/errors#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            fields["errors"] = [{"path": e.path, "message": e.message} for e in self.errors]
        if self.dependency is not None:
            fields["dependency"] = self.dependency
        return orjson.dumps(fields)


def describe(error: Exception) -> Problem:
    """Return what a client is told of `error`; of one that nobody foresaw, no detail at all."""
    if isinstance(error, RequestError):
        status, title = CODES[error.code]
        return Problem(error.code, status, title, error.detail, error.errors)
    dependency = error.dependency if isinstance(error, Unavailable) else dependency_of(error)
    if dependency is not None:
        status, title = CODES["unavailable"]
        detail = f"{dependency} does not answer; repeat it, a write with the same key"
        return Problem(
            "unavailable", status, title, detail,
            dependency=dependency, retry_after_seconds=RETRY_AFTER_SECONDS,
        )  # fmt: skip
    status, title = CODES["internal"]
    return Problem("internal", status, title, "The fault is ours and has been logged.")
