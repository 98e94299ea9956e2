"""What a channel's clients are told of who comes and goes, and how often.

Pure. Of a channel's changes in one second the first ten go out singly, the rest as one. In a large
channel nobody reads names: one notice a second with the count alone.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

SINGLY: Final = 10
WINDOW_SECONDS: Final = 1.0
NAMED_USERS: Final = 250
"""Above so many active users only their count is told."""


class Change(NamedTuple):
    """A user came to a channel, or left it."""

    user_id: str
    name: str
    has_come: bool


@dataclass(slots=True)
class _Window:
    """One second of a channel: what went out, and who came or left since."""

    began: float
    singly: int = 0
    changed: dict[str, Change] = field(default_factory=dict)
    count: int = 0
    is_owed: bool = False


class Notices:
    """The changes of all channels that are on their way to clients. Times are in seconds of any
    one clock."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def __len__(self) -> int:
        return len(self._windows)

    def add(self, channel_id: str, change: Change, count: int, now: float) -> bytes | None:
        """Note a change, after which a channel has `count` users.

        Returns the frame to send now, if this change goes out singly.
        """
        window = self._windows.get(channel_id)
        if window is None:
            window = self._windows[channel_id] = _Window(now)
        window.count = count
        is_named = count <= NAMED_USERS
        if is_named and window.singly < SINGLY and not window.is_owed:
            window.singly += 1
            kind = "user_joined" if change.has_come else "user_left"
            return encode_frame(kind, channel_id, _named(change))
        window.is_owed = True
        if not is_named:
            window.changed.clear()
        else:
            # Told also of who came and left within the second: whoever joined in between has been
            # given the list of that moment.
            window.changed[change.user_id] = change
        return None

    def due(self, now: float) -> list[tuple[str, bytes]]:
        """Return channel and frame of what has waited for its second to end."""
        frames = []
        for channel_id, window in list(self._windows.items()):
            if now - window.began < WINDOW_SECONDS:
                continue
            del self._windows[channel_id]
            if window.is_owed:
                frames.append((channel_id, _summary(channel_id, window)))
        return frames


def _summary(channel_id: str, window: _Window) -> bytes:
    changed = window.changed.values() if window.count <= NAMED_USERS else ()
    data = {
        "joined": [_named(change) for change in changed if change.has_come],
        "left": [change.user_id for change in changed if not change.has_come],
        "count": window.count,
    }
    return encode_frame("presence", channel_id, data)


def _named(change: Change) -> dict[str, str]:
    return {"userId": change.user_id, "userName": change.name}


def encode_frame(event_type: str, channel_id: str, data: dict[str, Any]) -> bytes:
    """A frame of no log, as it goes to clients: it begins with its type."""
    return orjson.dumps({"type": event_type, "channelId": channel_id, "data": data})
