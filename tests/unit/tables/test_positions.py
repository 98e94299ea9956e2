"""The one comparison of positions."""

import pytest

from tables.positions import Position, is_outdated, read_position


def value(incarnation: str, partition: int, offset: int) -> bytes:
    return b'{"number":1,"position":["%s",%d,%d]}' % (incarnation.encode(), partition, offset)


def test_value_with_earlier_offset_of_same_partition_is_outdated() -> None:
    assert is_outdated(value("a", 1, 4), value("a", 1, 5))
    assert not is_outdated(value("a", 1, 5), value("a", 1, 5))
    assert not is_outdated(value("a", 1, 6), value("a", 1, 5))


def test_value_of_other_incarnation_or_partition_is_never_outdated() -> None:
    assert not is_outdated(value("b", 1, 4), value("a", 1, 5))
    assert not is_outdated(value("a", 2, 4), value("a", 1, 5))


@pytest.mark.parametrize(
    "other",
    [None, b"", b"{", b"7", b"[]", b"{}", b'{"position":7}', b'{"position":["a",1]}',
     b'{"position":["a","b",3]}', b'{"position":null}', b"\xff"],
)  # fmt: skip
def test_value_without_position_is_never_outdated(other: bytes | None) -> None:
    assert read_position(other) is None
    assert not is_outdated(other, value("a", 1, 5))
    assert not is_outdated(value("a", 1, 5), other)


def test_position_is_read_from_a_record() -> None:
    assert read_position(value("a", 1, 5)) == Position("a", 1, 5)
