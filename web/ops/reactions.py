"""`add_reaction`, `remove_reaction`: as the calls of `/api/messages/{id}/reactions/{emoji}`."""

from app.telemetry.tracing import traceparent_of
from web.actions import reactions
from web.fields import Emoji, MessageId
from web.ops.call import Call
from web.schemas import Input


class ReactionOp(Input):
    """`add_reaction`, `remove_reaction`"""

    message_id: MessageId
    emoji: Emoji


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
