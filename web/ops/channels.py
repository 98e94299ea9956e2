"""`typing`, `read`: what a user does in a channel; as the calls of `/api/channels/{id}`."""

from app.telemetry.tracing import traceparent_of
from web import actions
from web.actions import reads
from web.fields import GivenId
from web.ops.call import Call
from web.schemas import Input, MarkRead


class TypingOp(Input):
    """`typing`"""

    channel_id: GivenId


class ReadOp(MarkRead):
    """`read`"""

    channel_id: GivenId


async def typing(call: Call, frame: TypingOp) -> None:
    """As `POST /api/channels/{id}/typing`."""
    await actions.show_typing(call.gateway, call.connection.user, frame.channel_id)
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
