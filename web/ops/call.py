"""One op of one connection, on its way to an answer."""

from dataclasses import dataclass
from typing import Any

from web.deps import Gateway
from web.fan_out.connection import Connection
from web.fan_out.frames import encode
from web.problems import describe


@dataclass(frozen=True, slots=True)
class Call:
    """One op of one connection, on its way to an answer."""

    gateway: Gateway
    connection: Connection
    id: str | int | None

    def answer(self, event_type: str, **fields: Any) -> None:
        """Answer under the client's own id, if it gave one."""
        named = {} if self.id is None else {"id": self.id}
        self.connection.send(encode(event_type, **named, **fields))

    def refuse(self, error: Exception, **fields: Any) -> None:
        """Answer with an `error` frame."""
        problem = describe(error)
        fields |= {"code": problem.code, "detail": problem.detail}
        if problem.errors:
            fields["errors"] = [{"path": e.path, "message": e.message} for e in problem.errors]
        if problem.dependency is not None:
            fields["dependency"] = problem.dependency
        if problem.retry_after_seconds is not None:
            fields["retryAfter"] = problem.retry_after_seconds
        self.answer("error", **fields)
