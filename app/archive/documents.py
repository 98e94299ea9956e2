"""The message document, and the message as clients see it.

The document decides: everything that clients, cache and topics carry of a message is rendered from
it here, so a message has the same bytes everywhere.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

Document = dict[str, Any]


def format_time(value: datetime) -> str:
    """Render a time as `2026-01-22T10:15:30.123Z`: always three digits and `Z`."""
    # Half of what strftime costs; every message is rendered twice and more.
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat(timespec="milliseconds")[:-6] + "Z"


def parse(message: Mapping[str, Any]) -> Document:
    """Return the document of a message that was sent and not changed since, from what `render`
    made of it, but for numbers in its metadata that are too long for a parser.

    Raises:
        KeyError, TypeError, ValueError: it is no such message.
    """
    return {
        "_id": message["id"],
        "channelId": message["channelId"],
        "senderId": message["senderId"],
        "senderName": message["senderName"],
        "content": message["content"],
        "replyTo": message["replyTo"],
        "mentions": message["mentions"],
        "metadata": orjson.dumps(message["metadata"]).decode(),
        "rev": message["rev"],
        "reactions": message["reactions"],
        "createdAt": datetime.fromisoformat(message["createdAt"]),
    }


def render(document: Document) -> bytes:
    """The JSON of a message, as clients see it; of a deleted one, its tombstone.

    It begins with `{"id":"…","rev":`, by which the append script finds it in the cache list.
    """
    if document.get("deletedAt") is not None:
        return orjson.dumps(
            {
                "id": document["_id"],
                "rev": document["rev"],
                "channelId": document["channelId"],
                "number": document.get("number"),
                "deleted": True,
                "deletedAt": format_time(document["deletedAt"]),
            }
        )
    edited = document.get("editedAt")
    return orjson.dumps(
        {
            "id": document["_id"],
            "rev": document["rev"],
            "channelId": document["channelId"],
            "number": document.get("number"),
            "senderId": document["senderId"],
            "senderName": document["senderName"],
            "content": document["content"],
            "replyTo": document.get("replyTo"),
            "mentions": document.get("mentions", []),
            "reactions": document.get("reactions", []),
            # Kept as the text that was checked once, so that it is never reordered or rounded.
            "metadata": orjson.Fragment(document.get("metadata", "{}")),
            "createdAt": format_time(document["createdAt"]),
            "editedAt": None if edited is None else format_time(edited),
        }
    )
