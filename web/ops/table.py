"""Every op by its name, and how a frame is read as one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

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

OpId = Annotated[str, Field(max_length=64)] | Annotated[int, Field(ge=-(2**53), le=2**53)]


class _Envelope(Input):
    op: str
    id: OpId | None = None


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
    """A frame that is no op: what is wrong with it, and the id it gave."""

    def __init__(self, error: RequestError, id: str | int | None = None) -> None:  # noqa: A002
        super().__init__(error.detail)
        self.error = error
        self.id = id


def _not_text() -> RequestError:
    return RequestError("invalid", "a frame must be text", [FieldError("", "must be text")])


def _op_named(name: str) -> Op:
    op = OPS.get(name)
    if op is None:
        detail = f"op: there is none named {name[:64]!r}"
        raise RequestError("invalid", detail, [FieldError("op", "is unknown")])
    return op


def read(text: str | None) -> tuple[Op, Input, str | int | None]:
    """Return the op that a frame names, its fields, and the client's id.

    Raises:
        BadFrame: it is binary (None), not JSON, or no op, or has a field that is unknown or wrong.
    """
    op_id: str | int | None = None
    try:
        if text is None:
            raise _not_text()
        fields = decode(text)
        said: dict[str, Any] = {key: fields.pop(key) for key in ("op", "id") if key in fields}
        envelope = parse(_Envelope, said)
        op_id = envelope.id
        op = _op_named(envelope.op)
        return op, parse(op.frame, fields), op_id
    except RequestError as error:
        raise BadFrame(error, op_id) from None
