"""The records of what users do: no document of a message stands behind them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from app.archive.documents import Document, format_time
from app.ids import new_id


def encode_read(channel_id: str, user_id: str, number: int) -> bytes:
    """Return the value of a `channel_read` record."""
    return _encode("channel_read", channelId=channel_id, userId=user_id, number=number)


def encode_membership(kind: str, channel_id: str, user_id: str, by: str) -> bytes:
    """Return the value of a `member_joined` or `member_left` record."""
    return _encode(kind, channelId=channel_id, userId=user_id, by=by)


def encode_projection_wanted(channel_id: str, user_id: str) -> bytes:
    """Return the value of a `projection_wanted` record."""
    return _encode("projection_wanted", channelId=channel_id, userId=user_id)


def encode_session(
    kind: str,
    channel_id: str,
    *,
    user_id: str,
    user_name: str,
    session_id: str,
    gateway_id: str,
) -> bytes:
    """Return the value of the record that a session began, was left, is closing or has expired."""
    return _encode(
        kind,
        channelId=channel_id,
        userId=user_id,
        userName=user_name,
        sessionId=session_id,
        gatewayId=gateway_id,
    )


def encode_typing(channel_id: str, user_id: str, user_name: str) -> bytes:
    """Return the value of a `typing` record."""
    return _encode("typing", channelId=channel_id, userId=user_id, userName=user_name)


def encode_active_users_wanted(channel_id: str) -> bytes:
    """Return the value of an `active_users_wanted` record."""
    return _encode("active_users_wanted", channelId=channel_id)


def encode_notification(
    notification_id: str, user_id: str, kind: str, data: dict[str, Any]
) -> bytes:
    """Return the value of the `notification` record of something that a user is to be told."""
    return _encode("notification", id=notification_id, userId=user_id, kind=kind, data=data)


def encode_notifications_read(user_id: str, ids: Sequence[str] | None) -> bytes:
    """Return the value of the record that a user has read these notifications; None: all."""
    return _encode("notifications_read", userId=user_id, ids=ids)


def encode_mention(notification_id: str, user_id: str, message: Document) -> bytes:
    """Return the value of the `notification` record that tells a user of a message naming them."""
    return orjson.dumps(
        {
            "eventId": notification_id,
            "type": "notification",
            "occurredAt": format_time(message["createdAt"]),
            "id": notification_id,
            "userId": user_id,
            "kind": "mention",
            "data": {
                "channelId": message["channelId"],
                "messageId": message["_id"],
                "senderId": message["senderId"],
                "senderName": message["senderName"],
            },
        }
    )


def _encode(kind: str, /, **fields: Any) -> bytes:
    now = format_time(datetime.now(UTC))
    return orjson.dumps({"eventId": new_id(), "type": kind, "occurredAt": now, **fields})
