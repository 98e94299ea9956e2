"""The position of the source record that a table's value has seen last."""

from typing import NamedTuple

import orjson


class Position(NamedTuple):
    """Where a record lies in its topic; comparable only within one incarnation and partition."""

    incarnation: str
    partition: int
    offset: int

    def is_before(self, other: "Position") -> bool:
        """Whether `other` is a later record of the same incarnation and partition."""
        return self[:2] == other[:2] and self.offset < other.offset


def read_position(value: bytes | None) -> Position | None:
    """Return the `position` inside a table's JSON value; None if there is none."""
    try:
        found = orjson.loads(value or b"null")["position"]
        incarnation, partition, offset = found
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    if isinstance(incarnation, str) and isinstance(partition, int) and isinstance(offset, int):
        return Position(incarnation, partition, offset)
    return None


def is_outdated(value: bytes | None, held: bytes | None) -> bool:
    """Whether `value` was made from an earlier record than `held`, which it would replace.

    A worker that was frozen and wakes writes into the changelog behind its successor; such an entry
    is later in the changelog and older all the same. What carries no position is never outdated.
    """
    if value is None or held is None or value == held:
        return False
    position, held_position = read_position(value), read_position(held)
    return position is not None and held_position is not None and position.is_before(held_position)
