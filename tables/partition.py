"""One partition of a table as this process holds it: what agents see, and what Kafka has of it.

Invariant: `take_image()` is the fold of the changelog up to `offset`, whatever is still on its way.
Agents see it with their own unacknowledged writes on top.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tables.positions import is_outdated


class Changes(NamedTuple):
    """Acknowledged values by key (None: deleted), and the changelog's offset that they reach."""

    entries: dict[bytes, bytes | None]
    offset: int | None


@dataclass(slots=True)
class _Unacknowledged:
    """A key with writes on their way: how many, and what the changelog holds of it until then."""

    sends: int
    offset: int
    value: bytes | None


class Partition:
    """A partition's entries in memory. Does no input or output, and is changed by one task only."""

    def __init__(self, data: dict[bytes, bytes] | None = None, offset: int | None = None) -> None:
        self.data = {} if data is None else data
        self.offset = offset
        self._dirty: dict[bytes, bytes | None] = {}
        self._taken_offset = offset
        self._unacknowledged: dict[bytes, _Unacknowledged] = {}
        self._unsent: dict[bytes, bytes | None] = {}

    @property
    def is_dirty(self) -> bool:
        """Whether the changelog has brought anything since changes were taken last."""
        return bool(self._dirty) or self.offset != self._taken_offset

    @property
    def dirty_count(self) -> int:
        """Keys that changed since changes were taken last."""
        return len(self._dirty)

    def set(self, key: bytes, value: bytes | None) -> None:
        """Write (None: delete) what `take_unsent` returns later; only memory sees it yet."""
        key, value = _compact(key), None if value is None else _compact(value)
        if key not in self._unsent:
            unacknowledged = self._unacknowledged.get(key)
            if unacknowledged is None:
                self._unacknowledged[key] = _Unacknowledged(1, -1, self.data.get(key))
            else:
                unacknowledged.sends += 1
        self._unsent[key] = value
        self._store(key, value)

    def take_unsent(self) -> dict[bytes, bytes | None]:
        """Return what has been written since the last call, of each key the last value; all of it
        is to be sent to the changelog."""
        unsent, self._unsent = self._unsent, {}
        return unsent

    def acknowledge(self, offset: int, key: bytes, value: bytes | None) -> None:
        """Note that the broker has put a write of `take_unsent` at `offset` of the changelog."""
        unacknowledged = self._unacknowledged[key]
        unacknowledged.sends -= 1
        # An earlier offset: recovery has read this entry, and what followed it, already.
        if offset > unacknowledged.offset:
            unacknowledged.offset, unacknowledged.value = offset, value
            self._dirty[key] = value
        if self.offset is None or offset > self.offset:
            self.offset = offset
        if not unacknowledged.sends:
            del self._unacknowledged[key]
            # Only someone else's entry behind ours makes this differ from what is there.
            self._store(key, unacknowledged.value)

    def merge(self, offset: int, key: bytes, value: bytes | None) -> None:
        """Apply an entry that recovery has read from the changelog, unless it is outdated."""
        if self.offset is not None and offset <= self.offset:
            return
        self.offset = offset
        if is_outdated(value, self.data.get(key)):
            return
        unacknowledged = self._unacknowledged.get(key)
        if unacknowledged is None:
            self._store(key, value)
        elif offset > unacknowledged.offset:
            unacknowledged.offset, unacknowledged.value = offset, value
        else:
            return
        self._dirty[key] = value

    def take_changes(self) -> Changes:
        """Return what has changed since the last call, and forget it."""
        changes = Changes(self._dirty, self.offset)
        self._dirty, self._taken_offset = {}, self.offset
        return changes

    def put_back(self, entries: Mapping[bytes, bytes | None]) -> None:
        """Take back changes that were not written; what changed meanwhile is newer and stays."""
        self._dirty = {**entries, **self._dirty}
        self._taken_offset = None

    def take_image(self) -> Changes:
        """Return every entry as the changelog has it; what has changed is in it, and forgotten."""
        entries: dict[bytes, bytes | None] = dict(self.data)
        for key, unacknowledged in self._unacknowledged.items():
            if unacknowledged.value is None:
                entries.pop(key, None)
            else:
                entries[key] = unacknowledged.value
        return self.take_changes()._replace(entries=entries)

    def _store(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.data.pop(key, None)
        else:
            self.data[key] = value


def _compact(data: bytes) -> bytes:
    # What orjson has encoded lies in the buffer that it was written in: 4 KB, however short it is.
    return bytes(memoryview(data))
