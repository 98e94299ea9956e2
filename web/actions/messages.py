"""What a user can do to messages: send, edit and delete them."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from app.archive.documents import Document, render
from app.archive.messages import Draft
from app.clients import MONGODB_SECONDS
from app.errors import FieldError, RequestError
from app.outages import answering
from web.deps import Gateway
from web.identity import User
from web.schemas import EditMessage, SendMessage

OVERDUE_AFTER: Final = timedelta(seconds=1)
"""What a record may take to its number before its message is published again when repeated."""


async def send_message(
    gateway: Gateway, user: User, body: SendMessage, *, key: str | None, traceparent: str
) -> tuple[bytes, bool]:
    """Accept a message; return its JSON, `number` still null, and whether it is new.

    With a `key` that this sender has used before, nothing is written and the
    message of that time is returned as it is now; if it still waits for its number, it is published
    again.

    Raises:
        RequestError: `idempotency_conflict`, the key was used for another message; `invalid`, it
            replies to what is no message of its channel.
        Unavailable: MongoDB did not confirm it within 5 s; repeat it with the same key.
    """
    draft = Draft(
        channel_id=body.channel_id,
        sender_id=user.id,
        sender_name=user.name,
        content=body.content,
        reply_to=body.reply_to,
        mentions=tuple(body.mentions),
        metadata=body.metadata_text,
        key=key,
    )
    async with answering("mongodb", MONGODB_SECONDS):
        if body.reply_to is not None:
            await _check_reply(gateway, body.channel_id, body.reply_to)
        if not gateway.channels.has_seen(body.channel_id):
            await gateway.channels.ensure([body.channel_id])
        document, is_new = await gateway.messages.insert(draft)
    message = render(document)
    if is_new or _is_overdue(document):
        await gateway.publisher.publish_change("message_created", document, message, traceparent)
    return message, is_new


async def _check_reply(gateway: Gateway, channel_id: str, message_id: str) -> None:
    parent = await gateway.messages.get(message_id)
    if parent is None or parent["channelId"] != channel_id:
        message = "must be a message of this channel"
        raise RequestError("invalid", f"replyTo {message}", [FieldError("replyTo", message)])


def _is_overdue(document: Document) -> bool:
    """Whether a repeated message was probably never published.

    Its gateway may have died between MongoDB and Kafka. The reconciler would find it later, and
    then what its sender has said since would stand before it. To publish it twice has no effect.
    """
    age = datetime.now(UTC) - document["createdAt"]
    waits = "number" not in document and "deadLettered" not in document
    return waits and age > OVERDUE_AFTER


async def edit_message(
    gateway: Gateway, user: User, message_id: str, body: EditMessage, *, traceparent: str
) -> bytes:
    """Change a message's content, its metadata or both; return its JSON.

    A body that changes nothing changes nothing: no new rev, no event.

    Raises:
        RequestError: `not_found`, missing or deleted; `forbidden`, not its sender.
        Unavailable: MongoDB did not confirm it within 5 s.
    """
    changes: dict[str, Any] = {}
    if body.content is not None:
        changes["content"] = body.content
    if body.metadata_text is not None:
        changes["metadata"] = body.metadata_text
    async with answering("mongodb", MONGODB_SECONDS):
        document = await gateway.messages.edit(message_id, changes, sender_id=user.id)
        if document is None:
            unchanged = await _find_own(gateway, user, message_id)
            if unchanged.get("deletedAt") is not None:
                raise _not_found()
            return render(unchanged)
    message = render(document)
    await gateway.publisher.publish_change("message_updated", document, message, traceparent)
    return message


async def delete_message(
    gateway: Gateway, user: User, message_id: str, *, traceparent: str
) -> bytes:
    """Delete a message; return its tombstone, also if it was deleted before.

    Raises:
        RequestError: `not_found`, there is no such message; `forbidden`, not its sender.
        Unavailable: MongoDB did not confirm it within 5 s.
    """
    async with answering("mongodb", MONGODB_SECONDS):
        document = await gateway.messages.delete(message_id, sender_id=user.id)
        if document is None:
            return render(await _find_own(gateway, user, message_id))
    tombstone = render(document)
    await gateway.publisher.publish_change("message_deleted", document, tombstone, traceparent)
    return tombstone


async def _find_own(gateway: Gateway, user: User, message_id: str) -> Document:
    document = await gateway.messages.get(message_id)
    if document is None:
        raise _not_found()
    if document["senderId"] != user.id:
        raise RequestError("forbidden", "only its sender may change a message")
    return document


def _not_found() -> RequestError:
    return RequestError("not_found", "there is no such message")
