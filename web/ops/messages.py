"""`send_message`, `edit_message`, `delete_message`: as the calls of `/api/messages`."""

import orjson

from app.telemetry.tracing import traceparent_of
from web import actions
from web.fields import MessageId
from web.identity import sender_of
from web.ops.call import Call
from web.schemas import EditMessage, Input, SendMessage


class EditMessageOp(EditMessage):
    """`edit_message`"""

    message_id: MessageId


class DeleteMessageOp(Input):
    """`delete_message`"""

    message_id: MessageId


async def send_message(call: Call, frame: SendMessage) -> None:
    """As `POST /api/messages`."""
    sender = sender_of(
        call.connection.user, sender_id=frame.sender_id, sender_name=frame.sender_name
    )
    message, _ = await actions.send_message(
        call.gateway, sender, frame, key=frame.nonce, traceparent=traceparent_of(None)
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
