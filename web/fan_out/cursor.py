"""The SSE cursor: the positions of all streams of a connection in one `id:`, for `Last-Event-ID`.

base64url of: 4 bytes that tell the channel list, then per channel in sorted order, and last the
user, 4 bytes of epoch and `seq` and `number` as varints; then the time in ms as a varint.
"""

import base64
import binascii
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from app.stream_log.cursor import Cursor, Position

_LARGEST: Final = 10**15 - 1
"""What a channel's own cursor can spell, too."""


class _Malformed(Exception):  # noqa: N818 - never leaves this module
    """Not a cursor."""


def pack_varint(value: int) -> bytes:
    """LEB128: 7 bits a byte, the lowest first."""
    if value < 0x80:
        return bytes((value,))
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def pack_position(position: Position) -> bytes:
    """One stream's part of the cursor."""
    return bytes.fromhex(position.epoch) + pack_varint(position.seq) + pack_varint(position.number)


def checksum_of(channel_ids: Iterable[str]) -> bytes:
    """Tell a channel list from another, in whatever order it was written."""
    return zlib.crc32("\n".join(sorted(channel_ids)).encode()).to_bytes(4, "big")


def pack(checksum: bytes, positions: Iterable[bytes], at_ms: int) -> bytes:
    """The `id:` of packed positions: the channels' in sorted order, then the user's."""
    return base64.urlsafe_b64encode(b"".join((checksum, *positions, pack_varint(at_ms)))).rstrip(
        b"="
    )


@dataclass(frozen=True, slots=True)
class CombinedCursor:
    """A parsed SSE cursor: one of each channel, by its id, and the user's."""

    channels: dict[str, Cursor]
    user: Cursor

    @classmethod
    def parse(cls, text: str, channel_ids: Sequence[str]) -> Self | None:
        """Return the cursor that `text` spells for exactly these channels, else None."""
        try:
            reader = _Reader(text)
            if reader.take(4) != checksum_of(channel_ids):
                return None
            ordered = sorted(channel_ids)
            positions = [reader.position() for _ in range(len(ordered) + 1)]
            at_ms = reader.varint()
            reader.end()
        except _Malformed:
            return None
        cursors = [Cursor(position, at_ms) for position in positions]
        return cls(dict(zip(ordered, cursors[:-1], strict=True)), cursors[-1])


class _Reader:
    def __init__(self, text: str) -> None:
        try:
            data = text.encode("ascii")
            self._data = base64.b64decode(
                data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True
            )
        except (binascii.Error, ValueError):
            raise _Malformed from None
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) < size:
            raise _Malformed
        self._at += size
        return part

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if value > _LARGEST or shift > 63:
                raise _Malformed
            if byte < 0x80:
                return value

    def position(self) -> Position:
        return Position(self.take(4).hex(), self.varint(), self.varint())

    def end(self) -> None:
        if self._at != len(self._data):
            raise _Malformed
