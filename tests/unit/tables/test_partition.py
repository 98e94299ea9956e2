"""A partition in memory is the fold of its changelog, under its own unacknowledged writes."""

import tracemalloc
from collections import deque

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tables.partition import Partition

KEYS = st.sampled_from([b"a", b"b", b"c"])
VALUES = st.none() | st.integers(0, 9).map(lambda n: b"%d" % n)

Entry = tuple[bytes, bytes | None]


def fold(entries: list[Entry]) -> dict[bytes, bytes]:
    table: dict[bytes, bytes] = {}
    for key, value in entries:
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
    return table


class PartitionMachine(RuleBasedStateMachine):
    """A partition, the changelog, and writes that are on their way there and back."""

    def __init__(self) -> None:
        super().__init__()
        self.partition = Partition()
        self.unsent: dict[bytes, bytes | None] = {}
        self.sending: deque[Entry] = deque()
        self.changelog: list[Entry] = []
        self.answers: deque[tuple[int, bytes, bytes | None]] = deque()
        self.known = 0  # So much of the changelog has been acknowledged or read.
        self.written: dict[bytes, bytes] = {}  # What a perfect Redis would hold.

    @rule(key=KEYS, value=VALUES)
    def write(self, key: bytes, value: bytes | None) -> None:
        self.partition.set(key, value)
        self.unsent[key] = value
        assert self.partition.data.get(key) == value

    @rule()
    def settle(self) -> None:
        taken = self.partition.take_unsent()
        assert taken == self.unsent
        self.sending.extend(taken.items())
        self.unsent.clear()

    @precondition(lambda self: self.sending)
    @rule()
    def broker_accepts(self) -> None:
        key, value = self.sending.popleft()
        self.answers.append((len(self.changelog), key, value))
        self.changelog.append((key, value))

    @precondition(lambda self: self.answers)
    @rule()
    def answer_arrives(self) -> None:
        offset, key, value = self.answers.popleft()
        self.partition.acknowledge(offset, key, value)
        self.known = max(self.known, offset + 1)

    @rule()
    def recovery_reads_on(self) -> None:
        for offset in range(len(self.changelog)):
            self.partition.merge(offset, *self.changelog[offset])
        self.known = len(self.changelog)

    @rule(is_written=st.booleans())
    def flush(self, is_written: bool) -> None:
        changes = self.partition.take_changes()
        if is_written:
            self.written = fold([*self.written.items(), *changes.entries.items()])
            assert self.written == fold(self.changelog[: self.known])
        else:
            self.partition.put_back(changes.entries)
            assert self.partition.is_dirty or not self.known

    @rule()
    def rewrite(self) -> None:
        image = self.partition.take_image()
        self.written = {key: value for key, value in image.entries.items() if value is not None}
        assert self.written == fold(self.changelog[: self.known])
        assert image.offset == (self.known - 1 if self.known else None)
        assert not self.partition.is_dirty

    @invariant()
    def is_fold_under_own_writes(self) -> None:
        on_their_way = [*((key, value) for _, key, value in self.answers), *self.sending]
        on_their_way += self.unsent.items()
        unknown = on_their_way if self.known <= len(self.changelog) - len(self.answers) else None
        if unknown is not None:
            expected = fold([*self.changelog[: self.known], *unknown])
            assert self.partition.data == expected
        if not on_their_way:
            assert self.partition.data == fold(self.changelog)


TestPartition = PartitionMachine.TestCase
TestPartition.settings = settings(suppress_health_check=list(HealthCheck), max_examples=50)


def position(offset: int) -> bytes:
    return b'{"position":["i",0,%d]}' % offset


def test_merge_when_entry_is_outdated_keeps_value_and_moves_offset() -> None:
    partition = Partition({b"k": position(9)}, 4)
    partition.merge(5, b"k", position(8))
    assert partition.data[b"k"] == position(9)
    assert partition.offset == 5
    assert partition.take_changes().entries == {}


def test_merge_when_entry_is_already_contained_changes_nothing() -> None:
    partition = Partition({b"k": b"2"}, 4)
    partition.merge(3, b"k", b"1")
    assert (partition.data, partition.is_dirty) == ({b"k": b"2"}, False)


def test_merge_when_own_write_is_on_its_way_leaves_it_on_top() -> None:
    partition = Partition({b"k": b"1"}, 4)
    partition.set(b"k", b"3")
    partition.merge(5, b"k", b"2")
    assert partition.data[b"k"] == b"3"
    assert partition.take_image().entries == {b"k": b"2"}


def test_acknowledge_when_another_wrote_behind_gives_what_the_changelog_has() -> None:
    partition = Partition()
    partition.set(b"k", b"own")
    assert partition.take_unsent() == {b"k": b"own"}
    partition.merge(1, b"k", b"other")
    partition.acknowledge(0, b"k", b"own")
    assert partition.data == {b"k": b"other"}


def test_writes_of_a_key_before_they_are_taken_are_sent_as_one() -> None:
    partition = Partition()
    partition.set(b"k", b"1")
    partition.set(b"k", b"2")
    assert partition.take_unsent() == {b"k": b"2"}
    partition.set(b"k", b"3")
    partition.acknowledge(0, b"k", b"2")
    assert partition.data == {b"k": b"3"}
    assert partition.take_changes().entries == {b"k": b"2"}
    assert partition.take_unsent() == {b"k": b"3"}
    partition.acknowledge(1, b"k", b"3")
    assert partition.take_changes().entries == {b"k": b"3"}


def test_unacknowledged_write_is_in_no_changes() -> None:
    partition = Partition()
    partition.set(b"k", b"1")
    assert not partition.is_dirty
    assert partition.take_image().entries == {}


def test_put_back_when_a_key_has_changed_meanwhile_keeps_the_newer_value() -> None:
    partition = Partition()
    partition.merge(0, b"k", b"1")
    partition.merge(1, b"l", b"1")
    taken = partition.take_changes()
    partition.merge(2, b"k", b"2")
    partition.put_back(taken.entries)
    assert partition.take_changes().entries == {b"k": b"2", b"l": b"1"}


def test_entries_take_the_memory_of_their_bytes_and_not_of_the_encoder() -> None:
    partition = Partition()
    tracemalloc.start()
    try:
        for number in range(1000):
            partition.set(orjson.dumps(["channel", number]), orjson.dumps({"read": number}))
        partition.take_unsent()
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 1000 * 500
