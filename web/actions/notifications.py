"""What users are told: by a service, and what of it they have read."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid5

import orjson

from app.announcements import encode_notification, encode_notifications_read
from app.errors import Unavailable
from app.ids import new_id
from app.topics import NOTIFICATIONS
from web.deps import Gateway
from web.identity import User
from web.schemas import Notify

_KEYS: Final = UUID("1c0e5b7a-6f0d-5b59-8a43-0f6f3f8a2d41")
"""Namespace of the ids that are made from an idempotency key."""


async def notify(
    gateway: Gateway, body: Notify, *, key: str | None, traceparent: str
) -> list[tuple[str, str]]:
    """Tell users something; return each user once, with the id of the notification.

    With a `key` the ids follow from it and from what is told: repeated, nobody is told twice, and
    something else under the same key is told, too.

    Raises:
        Unavailable: Kafka did not acknowledge all of them; repeat it with the same key.
    """
    told = [(user_id, _id_of(key, user_id, body)) for user_id in dict.fromkeys(body.user_ids)]
    records = [
        (user_id, encode_notification(notification_id, user_id, body.kind, body.data))
        for user_id, notification_id in told
    ]
    await _publish(gateway, records, traceparent)
    return told


async def read_notifications(
    gateway: Gateway, user: User, ids: Sequence[str] | None, *, traceparent: str
) -> None:
    """Mark a user's notifications as read; None: all that there are.

    Raises:
        Unavailable: Kafka did not acknowledge it; repeat it.
    """
    record = (user.id, encode_notifications_read(user.id, ids))
    await _publish(gateway, [record], traceparent)


async def _publish(
    gateway: Gateway, records: Sequence[tuple[str, bytes]], traceparent: str
) -> None:
    if not all(await gateway.publisher.publish_unstored(NOTIFICATIONS, records, traceparent)):
        raise Unavailable("kafka")


def _id_of(key: str | None, user_id: str, body: Notify) -> str:
    if key is None:
        return new_id()
    parts = orjson.dumps([key, user_id, body.kind, body.data], option=orjson.OPT_SORT_KEYS)
    return str(uuid5(_KEYS, parts.decode()))
