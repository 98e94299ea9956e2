"""What a client is told first, over either transport."""

from typing import Final

from web.connection import Connection
from web.frames import encode
from web.resume import Start
from web.schemas import CONTENT_LENGTH
from web.sweep import HEARTBEAT_SECONDS

FRAME_BYTES: Final = 64 * 1024
MOST_CHANNELS: Final = 100


def hello(connection: Connection, own: Start | None) -> bytes:
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
        # No agent counts either yet.
        unread={"total": 0, "mentions": 0},
        notifications=0,
    )
