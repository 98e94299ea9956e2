"""What went wrong, as clients are told it: RFC 9457, one table of codes for every transport."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from app.errors import FieldError, RequestError, Unavailable
from app.outages import dependency_of


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of error: its HTTP status, its title, and when it is answered."""

    status: int
    title: str
    when: str


CODES: Final[Mapping[str, Code]] = {
    "bad_request": Code(
        400,
        "The request is not HTTP",
        "Its first line, a header or a chunk is malformed, or a line is longer than 16 KB.",
    ),
    "bad_json": Code(400, "The body is not JSON", "The body or the frame cannot be read as JSON."),
    "not_authenticated": Code(
        401,
        "Who is asking?",
        "The call needs a user, and the request names none: say X-User-Id, or userId in the query.",
    ),
    "forbidden": Code(
        403,
        "Not allowed",
        "It is another user's, the request names two different users, or it is made by a page of "
        "an origin that is not allowed.",
    ),
    "not_found": Code(404, "There is no such thing", "There is nothing of this id or address."),
    "method_not_allowed": Code(
        405, "Not with this method", "The header Allow names the methods of this address."
    ),
    "conflict": Code(
        409,
        "It is not in a state for this",
        "A message has 20 kinds of emoji already, the id is of another kind of channel, or a "
        "direct channel has its two members.",
    ),
    "too_large": Code(413, "The body is too large", "A body may have 64 KiB."),
    "unsupported_media_type": Code(
        415, "The body must be application/json", "Send it with Content-Type: application/json."
    ),
    "invalid": Code(
        422,
        "Something in the request is wrong",
        "`errors` names each wrong field, at most 20, by its path. A field or a parameter that is "
        "unknown, or a parameter that is given twice, is wrong too.",
    ),
    "idempotency_conflict": Code(
        422,
        "The key was used for something else",
        "The same sender has sent another message with this key. A new message needs a new key.",
    ),
    "too_many_channels": Code(
        422, "Too many channels", "A connection may follow 100 channels; nothing was joined."
    ),
    "rate_limited": Code(429, "Too much at once", "Reserved. Retry-After says when to go on."),
    "internal": Code(500, "A fault of the server", "It has been logged; the answer has no detail."),
    "unavailable": Code(
        503,
        "A dependency does not answer",
        "`dependency` names it. Repeat the call after Retry-After seconds: a write's outcome is "
        "unknown, so a POST with the same Idempotency-Key.",
    ),
}
"""Every error there is, by its code. `/api/docs/errors` shows this table."""

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
        code = CODES[error.code]
        return Problem(error.code, code.status, code.title, error.detail, error.errors)
    dependency = error.dependency if isinstance(error, Unavailable) else dependency_of(error)
    if dependency is not None:
        code = CODES["unavailable"]
        detail = f"{dependency} does not answer; repeat it, a write with the same key"
        return Problem(
            "unavailable", code.status, code.title, detail,
            dependency=dependency, retry_after_seconds=RETRY_AFTER_SECONDS,
        )  # fmt: skip
    code = CODES["internal"]
    return Problem("internal", code.status, code.title, "The fault is ours and has been logged.")
