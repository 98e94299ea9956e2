"""The records of a message's changes as they are published, made from its document."""

from dataclasses import dataclass
from typing import Any

import orjson

from app.archive.documents import Document, format_time, render


@dataclass(frozen=True, slots=True)
class Reacted:
    """A user's reaction to a message: `reaction_added` or `reaction_removed`, and the `rev` that
    the message got by it."""

    kind: str
    emoji: str
    user_id: str
    rev: int


def kind_of(document: Document) -> str:
    """Return what a message's last change is to its readers: the type of its record.

    One without a number was never seen: it is created, whatever has become of it since.
    """
    if document.get("number") is None:
        return "message_created"
    return "message_updated" if document.get("deletedAt") is None else "message_deleted"


def encode_change(kind: str, document: Document, message: bytes | None = None) -> bytes:
    """Return the value of a `message_created`, `…_updated` or `…_deleted` record.

    `message` is the document as `render` renders it, where that has been done before.
    """
    message = render(document) if message is None else message
    return orjson.dumps(_describe_change(kind, document["rev"], document, message))


def encode_reaction(reacted: Reacted, document: Document) -> bytes:
    """Return the value of a reaction's record, with the message as the document has it now."""
    return orjson.dumps(
        {
            **_describe_change(reacted.kind, reacted.rev, document, render(document)),
            "messageId": document["_id"],
            "emoji": reacted.emoji,
            "userId": reacted.user_id,
        }
    )


def _describe_change(kind: str, rev: int, document: Document, message: bytes) -> dict[str, Any]:
    return {
        "eventId": f"{document['_id']}:{rev}",
        "type": kind,
        "occurredAt": format_time(document["changedAt"]),
        "channelId": document["channelId"],
        "rev": rev,
        "message": orjson.Fragment(message),
    }
