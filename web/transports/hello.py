"""What a client is told first, over either transport."""

from dataclasses import dataclass
from typing import Final

from app.clients import answering
from app.errors import Unavailable
from tables.readers import read_channels, read_notification_count
from web.deps import Gateway
from web.fan_out.connection import Connection
from web.fan_out.frames import encode
from web.fan_out.resume import Start
from web.fan_out.sweep import HEARTBEAT_SECONDS
from web.fields import CONTENT_LENGTH

FRAME_BYTES: Final = 64 * 1024
MOST_CHANNELS: Final = 100
REDIS_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What waits for a user."""

    notifications: int = 0
    unread: int = 0
    mentions: int = 0


async def read_counts(gateway: Gateway, user_id: str) -> Counts:
    """Return what waits for a user; nothing if Redis is away: then the client reloads later.

    To be called when the place in the user's own stream is known: every event behind that place
    says what the count is after it.
    """
    try:
        async with answering("redis", REDIS_SECONDS):
            notifications = await read_notification_count(gateway.redis, user_id)
            channels = await read_channels(gateway.redis, user_id)
    except Unavailable:
        return Counts()
    return Counts(
        notifications,
        sum(channel.unread for channel in channels),
        sum(channel.mentions for channel in channels),
    )


def hello(connection: Connection, own: Start | None, counts: Counts) -> bytes:
    """The `hello` of a connection that stands at `own` in its user's stream."""
    user = connection.user
    return encode(
        "hello",
        connectionId=connection.id,
        user={"id": user.id, "name": user.name},
        userCursor=None if own is None else own.fields["cursor"],
        heartbeatSeconds=HEARTBEAT_SECONDS,
        limits={
            "frameBytes": FRAME_BYTES,
            "contentLength": CONTENT_LENGTH,
            "channels": MOST_CHANNELS,
        },
        unread={"total": counts.unread, "mentions": counts.mentions},
        notifications=counts.notifications,
    )
