"""The records of a message's changes as they are published, made from its document."""

import orjson

from app.archive.documents import Document, format_time, render


def kind_of(document: Document) -> str:
    """Return what a message's last change is to its readers: the type of its record.

    One without a number was never seen: it is created, whatever has become of it since.
    """
    if document.get("number") is None:
        return "message_created"
    return "message_updated" if document.get("deletedAt") is None else "message_deleted"


def encode_change(kind: str, document: Document) -> bytes:
    """Return the value of a `message_created`, `…_updated` or `…_deleted` record."""
    return orjson.dumps(
        {
            "eventId": f"{document['_id']}:{document['rev']}",
            "type": kind,
            "occurredAt": format_time(document["changedAt"]),
            "channelId": document["channelId"],
            "rev": document["rev"],
            "message": orjson.Fragment(render(document)),
        }
    )
