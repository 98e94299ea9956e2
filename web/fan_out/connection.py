"""A client's connection, whatever its transport: who it is, what it follows, how it is told."""

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from app.ids import new_id
from app.stream_log.cursor import Cursor
from web.fan_out.frames import Batch
from web.fan_out.outbox import Flusher, Outbox
from web.fan_out.stream import Stream
from web.identity import User

if TYPE_CHECKING:
    from web.fan_out.replay import Replay

UNKNOWN_ERROR: Final = 4000


class Connection(Outbox):
    """An outbox with a user, the streams it joined, and the replays under way.

    `streams` are the channels by id, `own` is the user's own stream; None while Redis is away.
    `is_replaying`: one task at a time goes through `replays`, whatever is joined and left.
    """

    __slots__ = (
        "id",
        "is_alive",
        "is_replaying",
        "own",
        "replays",
        "streams",
        "user",
        "wheel_slot",
    )

    transport_name: ClassVar[str]

    def __init__(self, transport: asyncio.Transport | None, flusher: Flusher, user: User) -> None:
        if transport is None:
            raise ConnectionResetError("the client is gone")
        super().__init__(transport, flusher)
        self.id = new_id()
        self.user = user
        self.own: Stream | None = None
        self.streams: dict[str, Stream] = {}
        self.replays: dict[Stream, Replay] = {}
        self.is_replaying = False
        self.is_alive = True
        self.wheel_slot = 0

    def deliver(self, stream: Stream, batch: Batch) -> None:
        """Queue events of a stream, after which the client stands where they do."""
        raise NotImplementedError

    def send(self, payload: bytes) -> None:
        """Queue something that moves the client in no stream."""
        raise NotImplementedError

    def ping(self) -> None:
        """Show that the gateway lives, and ask the client whether it does."""
        raise NotImplementedError

    def shut(self, code: int, reason: str = "") -> None:
        """Write what is queued and end; nothing is written after it."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Return when the client has taken most of what it was sent."""
        raise NotImplementedError

    def begin_replay(self, stream: Stream, cursor: Cursor) -> None:
        """The client stands at `cursor`, and is about to be brought to where followers are."""

    def end_replay(self, stream: Stream) -> None:
        """The client has been brought to where a stream's followers are, or left it."""
