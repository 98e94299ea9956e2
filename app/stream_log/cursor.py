"""The cursor: the string that a client gives back to resume a stream."""

import re
from dataclasses import dataclass
from typing import Self

_cursor = re.compile(r"([0-9a-f]{8})\.(\d{1,15})\.(\d{1,15})\.(\d{1,15})")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a stream log: the epoch, the last event's seq, the newest message's number."""

    epoch: str
    seq: int
    number: int

    def cursor(self, at_ms: int) -> str:
        """The cursor of this position at a time, in Unix milliseconds."""
        return f"{self.epoch}.{self.seq}.{self.number}.{at_ms}"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A parsed cursor."""

    position: Position
    at_ms: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the cursor that `text` spells, or None if it spells none."""
        match = _cursor.fullmatch(text)
        if match is None:
            return None
        epoch, seq, number, at_ms = match.groups()
        return cls(Position(epoch, int(seq), int(number)), int(at_ms))


_MARK = b'"cursor":"'


def position_of(frame: bytes) -> Position:
    """Return the position that a logged frame stands at, read from its cursor."""
    start = frame.index(_MARK) + len(_MARK)
    epoch, seq, number, _ = frame[start : frame.index(b'"', start)].split(b".")
    return Position(epoch.decode(), int(seq), int(number))
