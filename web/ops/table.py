"""Every op by its name, and how a frame is read as one."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.errors import FieldError, RequestError
from web.ops.call import Call
from web.ops.channels import ReadOp, TypingOp, mark_read, typing
from web.ops.messages import (
    DeleteMessageOp,
    EditMessageOp,
    delete_message,
    edit_message,
    send_message,
)
from web.ops.reactions import ReactionOp, add_reaction, remove_reaction
from web.ops.streams import JoinChannel, LeaveChannel, Resume, join_channel, leave_channel, resume
from web.parsing import decode, parse
from web.schemas import Input, SendMessage

ID_LENGTH: Final = 64
LARGEST_ID: Final = 2**53
"""Beyond it JavaScript has no exact integers."""


class Ping(Input):
    """`ping`"""


async def ping(call: Call, _: Ping) -> None:
    """Show that the gateway answers."""
    call.answer("pong")


@dataclass(frozen=True, slots=True)
class Op:
    """What an op's frame holds beside `op` and `id`, and what it does."""

    frame: type[Input]
    run: Callable[[Call, Any], Awaitable[None]]

    async def handle(self, call: Call, fields: Mapping[str, Any]) -> None:
        """Check the fields of a frame and do what it asks.

        Raises:
            RequestError: a field is unknown, missing or wrong, or what the op itself refuses.
            Unavailable: a dependency does not answer.
        """
        await self.run(call, parse(self.frame, fields))


OPS: Final = {
    "join_channel": Op(JoinChannel, join_channel),
    "resume": Op(Resume, resume),
    "leave_channel": Op(LeaveChannel, leave_channel),
    "send_message": Op(SendMessage, send_message),
    "edit_message": Op(EditMessageOp, edit_message),
    "delete_message": Op(DeleteMessageOp, delete_message),
    "typing": Op(TypingOp, typing),
    "add_reaction": Op(ReactionOp, add_reaction),
    "remove_reaction": Op(ReactionOp, remove_reaction),
    "read": Op(ReadOp, mark_read),
    "ping": Op(Ping, ping),
}


class BadFrame(Exception):  # noqa: N818 - said of a frame
    """A frame that names no op: what is wrong with it, and the id it gave."""

    def __init__(self, error: RequestError, id: str | int | None = None) -> None:  # noqa: A002
        super().__init__(error.detail)
        self.error = error
        self.id = id


def read(text: str | None) -> tuple[Op, dict[str, Any], str | int | None]:
    """Return the op that a frame names, its fields as they came, and the client's id.

    Raises:
        BadFrame: it is binary (None), no JSON object, has a bad id, or names no op.
    """
    op_id: str | int | None = None
    try:
        if text is None:
            raise _invalid("", "must be text")
        fields = decode(text)
        op_id = _checked_id(fields.pop("id", None))
        return _op_named(fields.pop("op", None)), fields, op_id
    except RequestError as error:
        raise BadFrame(error, op_id) from None


def _checked_id(value: Any) -> str | int | None:
    match value:
        case None:
            return None
        case str() if len(value) <= ID_LENGTH:
            return value
        case int() if not isinstance(value, bool) and abs(value) <= LARGEST_ID:
            return value
    raise _invalid("id", f"must be a string of at most {ID_LENGTH} characters, or an integer")


def _op_named(name: Any) -> Op:
    op = OPS.get(name) if isinstance(name, str) else None
    if op is None:
        raise _invalid("op", f"must be one of {', '.join(OPS)}")
    return op


def _invalid(path: str, message: str) -> RequestError:
    return RequestError("invalid", f"{path or 'frame'}: {message}", [FieldError(path, message)])
