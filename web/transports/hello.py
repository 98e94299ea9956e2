"""What a client is told first, over either transport."""

from typing import Final

from web.fan_out.connection import Connection
from web.fan_out.frames import encode
from web.fan_out.resume import Start
from web.fan_out.sweep import HEARTBEAT_SECONDS
from web.fields import CONTENT_LENGTH
from web.waiting import Counts

FRAME_BYTES: Final = 64 * 1024
MOST_CHANNELS: Final = 100


def hello(connection: Connection, own: Start | None, counts: Counts) -> bytes:
    """The `hello` of a connection that stands at `own` in its user's stream."""
    user = connection.user
    return encode(
        "hello",
        connectionId=connection.id,
        user={"id": user.id, "name": user.name or None},
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
