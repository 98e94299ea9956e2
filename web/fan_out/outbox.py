"""One connection's bounded outbox: fan-out puts bytes in, a flush writes them in one call.

Nothing here waits for a socket. All that a connection was given in a turn of the event loop leaves
in one write, since what costs is the system call; what the client does not take stays in the
transport, and past the bound the client is dropped: it comes back and resumes.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from prometheus_client import Counter

BOUND_BYTES: Final = 1 << 20
BOUND_FRAMES: Final = 1000
CLOSING_SECONDS: Final = 1.0

_written = Counter("hubbub_outbox_bytes_total", "Bytes handed to clients' connections.")


class Flusher:
    """Writes, once a turn of the event loop, every outbox that was given something.

    `drop` gets rid of a client that does not keep up.
    """

    __slots__ = ("_dirty", "_drop", "_loop")

    def __init__(self, drop: Callable[[Any], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._drop = drop
        self._dirty: list[Outbox] = []

    def add(self, outbox: "Outbox") -> None:
        """See that an outbox, which was empty until now, is written."""
        if not self._dirty:
            self._loop.call_soon(self.flush)
        self._dirty.append(outbox)

    def flush(self) -> None:
        """Write what is queued, now."""
        dirty, self._dirty = self._dirty, []
        written = 0
        for outbox in dirty:
            size = outbox.flush()
            if size is None:
                self._drop(outbox)
            else:
                written += size
        _written.inc(written)


class Outbox:
    """What one client has been given and has not taken yet."""

    __slots__ = (
        "_flusher",
        "_frames",
        "_queue",
        "_sent_bytes",
        "_sent_frames",
        "allowance_bytes",
        "is_closed",
        "transport",
    )

    def __init__(self, transport: asyncio.Transport, flusher: Flusher) -> None:
        self.transport = transport
        self._flusher = flusher
        self._queue: list[bytes] = []
        self._frames = 0
        # Since the transport was last seen empty: what one of its bytes is worth in frames.
        self._sent_bytes = 0
        self._sent_frames = 0
        # A replay's page that is under way: it was asked for, and does not count.
        self.allowance_bytes = 0
        self.is_closed = False

    def put(self, data: bytes, frames: int) -> None:
        """Queue whole frames; they leave before the next turn ends."""
        if self.is_closed:
            return
        if not self._queue:
            self._flusher.add(self)
        self._queue.append(data)
        self._frames += frames

    @property
    def held_bytes(self) -> int:
        """What the client has not taken yet of what was written, without a replay's page."""
        return max(0, self.transport.get_write_buffer_size() - self.allowance_bytes)

    def _holds_more_than(self, bound_bytes: float, bound_frames: float) -> bool:
        held = self.held_bytes
        if not held or not self._sent_bytes:
            return False
        # The transport counts bytes only; frames by the average of what was sent.
        return held > bound_bytes or held * self._sent_frames > bound_frames * self._sent_bytes

    @property
    def is_crowded(self) -> bool:
        """Whether it is over half full: events that may be lost are not queued any more."""
        return self._holds_more_than(BOUND_BYTES / 2, BOUND_FRAMES / 2)

    def flush(self) -> int | None:
        """Write all that is queued in one call; return its size, None if the client does not
        keep up and must go."""
        queue = self._queue
        if not queue:
            return 0
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        queue.clear()
        frames, self._frames = self._frames, 0
        if not self.transport.get_write_buffer_size():
            self._sent_bytes = self._sent_frames = 0
        elif self._holds_more_than(BOUND_BYTES, BOUND_FRAMES):
            return None
        self._sent_bytes += len(data)
        self._sent_frames += frames
        self.write(data)
        return len(data)

    def finish(self, last: bytes) -> None:
        """Write what is queued, and `last`; nothing is written after it."""
        if not self.is_closed:
            self.is_closed = True
            self._queue.append(last)
            self.write(b"".join(self._queue))
            self._queue.clear()
            # Whoever does not close in turn, or cannot even take it, is cut off.
            asyncio.get_running_loop().call_later(CLOSING_SECONDS, self.transport.abort)

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport."""
        if data and not self.transport.is_closing():
            self.transport.write(data)
