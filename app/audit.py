"""The audit of a channel: what must be true of the copies that three servers hold of it.

Pure: it is given what was read, and says what does not agree.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import orjson

from app.archive.documents import Document, format_time, render
from app.stream_log.cursor import Position, position_of

UNDER_WAY: Final = timedelta(seconds=10)
"""What was changed so lately may be on its ordinary way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not agree. `kind` is `missing`, `doubled`, `out_of_order`, `differs`,
    `pending` or `dead_lettered`; `place` the server that has it wrong."""

    kind: str
    place: str
    detail: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record of the channel's in Kafka that carries a message."""

    message_id: str
    type: str
    rev: int


@dataclass(slots=True)
class StreamState:
    """What Redis holds of the channel: the log's entries as (id, frame), the cache list."""

    meta: Mapping[str, str]
    entries: Sequence[tuple[str, bytes]]
    cache: Sequence[bytes]
    frames: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.frames = [orjson.loads(frame) for _, frame in self.entries]

    @property
    def number(self) -> int | None:
        """The newest number that the stream knows; None: it has no epoch."""
        return int(self.meta["number"]) if "number" in self.meta else None

    @property
    def message_ids(self) -> set[str]:
        """The messages that the log speaks of."""
        return {frame["data"]["id"] for frame in self.frames if _is_of_message(frame)}


def check_numbers(numbers: Sequence[int]) -> list[Finding]:
    """Numbers are 1 to n, without a hole and each once."""
    findings, expected = [], 1
    for number in numbers:
        if number < expected:
            findings.append(Finding("doubled", "mongodb", f"number {number} is given twice"))
        elif number > expected:
            missing = f"{expected}" if number == expected + 1 else f"{expected} to {number - 1}"
            findings.append(Finding("missing", "mongodb", f"no message has number {missing}"))
        expected = max(expected, number + 1)
    return findings


def check_states(documents: Iterable[Document], now: datetime) -> list[Finding]:
    """Every change is applied after a while, and no message is a dead letter."""
    findings = []
    for document in documents:
        changed_at = document["changedAt"]
        if "deadLettered" in document:
            reason = document["deadLettered"]["reason"]
            detail = f"message {document['_id']} is a dead letter: {reason}"
            findings.append(Finding("dead_lettered", "mongodb", detail))
        # Not by `pendingSince`, which the reconciler sets again.
        elif "pendingSince" in document and changed_at < now - UNDER_WAY:
            detail = f"message {document['_id']}, changed {format_time(changed_at)}, is pending"
            findings.append(Finding("pending", "mongodb", detail))
    return findings


def check_records(
    documents: Iterable[Document],
    records: Sequence[Recorded],
    known: Mapping[str, int | None],
    since: datetime,
) -> list[Finding]:
    """Every message created since has a record of its creation; every record has a document."""
    created = {record.message_id for record in records if record.type == "message_created"}
    findings = [
        Finding("missing", "kafka", f"message {document['_id']} has no message_created")
        for document in documents
        if document["createdAt"] >= since
        and document["_id"] not in created
        # These two are said to be so already, and are for the reconciler and the operator.
        and "pendingSince" not in document
        and "deadLettered" not in document
    ]
    unknown = {record.message_id for record in records if record.message_id not in known}
    return findings + [
        Finding("missing", "mongodb", f"message {message_id} has records and no document")
        for message_id in sorted(unknown)
    ]


def check_log(state: StreamState, known: Mapping[str, int | None]) -> list[Finding]:
    """The log has every seq once, cursors that agree, and each message once and in order."""
    if not state.entries:
        return []
    if "epoch" not in state.meta:
        return [Finding("differs", "redis", "there is a log, and no meta")]
    findings, seqs = [], [int(entry.split("-")[0]) for entry, _ in state.entries]
    for before, seq in pairwise(seqs):
        if seq != before + 1:
            findings.append(Finding("missing", "redis", f"no event has seq {before + 1}"))
    if seqs[-1] != int(state.meta["seq"]):
        detail = f"the log ends at seq {seqs[-1]}, meta at {state.meta['seq']}"
        findings.append(Finding("differs", "redis", detail))
    highest = 0
    for seq, (_, raw) in zip(seqs, state.entries, strict=True):
        position = position_of(raw)
        expected = Position(state.meta["epoch"], seq, max(highest, position.number))
        if position != expected:
            findings.append(Finding("differs", "redis", f"the cursor of seq {seq} is not its own"))
        highest = max(highest, position.number)
    return findings + _check_messages(state, known)


def _check_messages(state: StreamState, known: Mapping[str, int | None]) -> list[Finding]:
    findings, seen, highest = [], set[str](), 0
    for frame in state.frames:
        if frame["type"] != "message":
            continue
        message_id, number = frame["data"]["id"], frame["data"]["number"]
        where = f"message {message_id} at seq {frame['seq']}"
        if message_id in seen:
            findings.append(Finding("doubled", "redis", f"{where} was there before"))
        elif highest and number != highest + 1:
            kind = "missing" if number > highest + 1 else "out_of_order"
            detail = f"{where} has number {number}, after {highest}"
            findings.append(Finding(kind, "redis", detail))
        if known.get(message_id) != number:
            detail = f"{where} has number {number}, its document {known.get(message_id)}"
            findings.append(Finding("differs", "redis", detail))
        seen.add(message_id)
        highest = max(highest, number)
    return findings


def check_cache(
    state: StreamState, newest: Sequence[Document], highest_number: int
) -> list[Finding]:
    """The stream knows the newest number; the list is the newest messages, byte for byte."""
    findings = []
    if state.number is not None and state.number != highest_number:
        detail = f"meta has number {state.number}, MongoDB {highest_number}"
        findings.append(Finding("differs", "redis", detail))
    if not state.cache:
        return findings
    ids = [orjson.loads(item)["id"] for item in state.cache]
    expected = [document["_id"] for document in newest[: len(ids)]]
    if ids != expected:
        missing = [each for each in expected if each not in ids]
        kind = "doubled" if len(set(ids)) < len(ids) else "missing" if missing else "out_of_order"
        detail = f"the cache list is not the newest messages ({len(missing)} are not in it)"
        return [*findings, Finding(kind, "redis", detail)]
    return findings + [
        Finding("differs", "redis", f"message {document['_id']} is cached as something else")
        for item, document in zip(state.cache, newest, strict=False)
        # A change on its way is in MongoDB first.
        if "pendingSince" not in document and item != render(document)
    ]


def _is_of_message(frame: Mapping[str, Any]) -> bool:
    data = frame.get("data")
    return isinstance(data, dict) and "rev" in data and "id" in data
