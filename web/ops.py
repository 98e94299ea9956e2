"""What a client can ask over a WebSocket: one function and one line of the table for each op."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
from pydantic import Field

from app.errors import FieldError, RequestError, Unavailable
from app.keys import channel_stream
from app.telemetry.tracing import traceparent_of
from web import actions
from web.actions import channels, reactions, reads
from web.connection import Connection
from web.deps import Gateway
from web.fields import Emoji, GivenId, MessageId
from web.frames import encode
from web.hello import MOST_CHANNELS
from web.identity import sender_of
from web.parsing import decode, parse
from web.problems import describe
from web.replay import follow
from web.resume import Start, decide, open_stream
from web.schemas import EditMessage, Input, MarkRead, SendMessage

CursorText = Annotated[str, Field(max_length=100)]
OpId = Annotated[str, Field(max_length=64)] | Annotated[int, Field(ge=-(2**53), le=2**53)]


class _Envelope(Input):
    op: str
    id: OpId | None = None


class JoinChannel(Input):
    """`join_channel`"""

    channel_id: GivenId
    since: CursorText | None = None


class LeaveChannel(Input):
    """`leave_channel`"""

    channel_id: GivenId


class Resume(Input):
    """`resume`: cursors of the user's own stream, and of channels by their ids."""

    user: CursorText | None = None
    channels: Annotated[dict[GivenId, CursorText], Field(default_factory=dict)]


class EditMessageOp(EditMessage):
    """`edit_message`"""

    message_id: MessageId


class DeleteMessageOp(Input):
    """`delete_message`"""

    message_id: MessageId


class TypingOp(Input):
    """`typing`"""

    channel_id: GivenId


class ReactionOp(Input):
    """`add_reaction`, `remove_reaction`"""

    message_id: MessageId
    emoji: Emoji


class ReadOp(MarkRead):
    """`read`"""

    channel_id: GivenId


class Ping(Input):
    """`ping`"""


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


async def join_channel(call: Call, frame: JoinChannel) -> None:
    """Follow a channel, from a cursor if one is given."""
    _check_count(call.connection, {frame.channel_id})
    key = channel_stream(frame.channel_id)
    await _enter(call, [await open_stream(call.gateway.hub, key, frame.since)])


async def resume(call: Call, frame: Resume) -> None:
    """Go on in many channels, and in the user's own stream, in one round trip."""
    connection = call.connection
    _check_count(connection, set(frame.channels))
    own = None
    if frame.user is not None:
        if connection.own is None:
            raise Unavailable("redis")
        own = await decide(call.gateway.hub, connection.own, frame.user)
    begun = await asyncio.gather(
        *(
            open_stream(call.gateway.hub, channel_stream(channel_id), since)
            for channel_id, since in frame.channels.items()
        ),
        return_exceptions=True,
    )
    if own is not None and not connection.is_closed:
        call.answer("resumed", **own.fields)
        own.stream.followers.discard(connection)
        follow(call.gateway.hub, connection, [own])
    starts: list[Start] = []
    for channel_id, result in zip(frame.channels, begun, strict=True):
        if isinstance(result, Start):
            starts.append(result)
        elif isinstance(result, Exception):
            call.refuse(result, channelId=channel_id)
        else:
            raise result
    await _enter(call, starts)
    if own is None and not frame.channels:
        call.answer("ack")


def _check_count(connection: Connection, channel_ids: set[str]) -> None:
    if len(channel_ids | connection.streams.keys()) > MOST_CHANNELS:
        raise RequestError("too_many_channels", f"a connection may follow {MOST_CHANNELS} channels")


async def _enter(call: Call, starts: list[Start]) -> None:
    try:
        active = await call.gateway.active_users.of_streams([start.stream for start in starts])
    except BaseException as error:
        for start in starts:
            call.gateway.hub.release(start.stream)
        if not isinstance(error, Unavailable):
            raise
        for start in starts:
            call.refuse(error, channelId=start.stream.key.id)
        return
    # Nothing is awaited between the answers and the attachment: what they say is still true.
    hub, connection = call.gateway.hub, call.connection
    for start, users in zip(starts, active, strict=True):
        stream = start.stream
        channel_id = stream.key.id
        if connection.is_closed:
            hub.release(stream)
            continue
        if channel_id in connection.streams:
            # Joined again: from now on only what this answer says.
            hub.leave(stream, connection)
        connection.streams[channel_id] = stream
        call.gateway.presence.join(connection, channel_id)
        call.answer("joined", channelId=channel_id, **start.fields, **users.fields)
    if not connection.is_closed:
        follow(hub, connection, starts)
        entered = [start.stream.key.id for start in starts]
        hub.run(channels.enter_channels(call.gateway, connection.user, entered))


async def leave_channel(call: Call, frame: LeaveChannel) -> None:
    """Follow a channel no more."""
    stream = call.connection.streams.pop(frame.channel_id, None)
    if stream is not None:
        call.gateway.hub.leave(stream, call.connection)
        call.gateway.presence.leave(call.connection, frame.channel_id)
    call.answer("left", channelId=frame.channel_id)


async def send_message(call: Call, frame: SendMessage) -> None:
    """As `POST /api/messages`."""
    sender = sender_of(
        call.connection.user, sender_id=frame.sender_id, sender_name=frame.sender_name
    )
    message, _ = await actions.send_message(
        call.gateway, sender, frame, key=None, traceparent=traceparent_of(None)
    )
    call.answer("accepted", message=orjson.Fragment(message))


async def edit_message(call: Call, frame: EditMessageOp) -> None:
    """As `PATCH /api/messages/{id}`."""
    await actions.edit_message(
        call.gateway,
        call.connection.user,
        frame.message_id,
        frame,
        traceparent=traceparent_of(None),
    )
    call.answer("ack")


async def delete_message(call: Call, frame: DeleteMessageOp) -> None:
    """As `DELETE /api/messages/{id}`."""
    await actions.delete_message(
        call.gateway, call.connection.user, frame.message_id, traceparent=traceparent_of(None)
    )
    call.answer("ack")


async def typing(call: Call, frame: TypingOp) -> None:
    """As `POST /api/channels/{id}/typing`."""
    await actions.show_typing(call.gateway, call.connection.user, frame.channel_id)
    call.answer("ack")


async def add_reaction(call: Call, frame: ReactionOp) -> None:
    """As `PUT /api/messages/{id}/reactions/{emoji}`."""
    await reactions.add_reaction(
        call.gateway,
        call.connection.user,
        frame.message_id,
        frame.emoji,
        traceparent=traceparent_of(None),
    )
    call.answer("ack")


async def remove_reaction(call: Call, frame: ReactionOp) -> None:
    """As `DELETE /api/messages/{id}/reactions/{emoji}`."""
    await reactions.remove_reaction(
        call.gateway,
        call.connection.user,
        frame.message_id,
        frame.emoji,
        traceparent=traceparent_of(None),
    )
    call.answer("ack")


async def mark_read(call: Call, frame: ReadOp) -> None:
    """As `POST /api/channels/{id}/read`."""
    await reads.mark_read(
        call.gateway,
        call.connection.user,
        frame.channel_id,
        frame.number,
        traceparent=traceparent_of(None),
    )
    call.answer("ack")


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
