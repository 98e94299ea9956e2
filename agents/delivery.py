"""Whether a record of a message's change is new, delivered again, or published twice."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from app.archive.applied import Applied
from app.archive.documents import Document
from app.stream_log.log import Source


class Delivery(Enum):
    """What a record is, beside what its message's `applied` says of the topic."""

    NEW = "new"
    AGAIN = "again"
    """At or below the offset that was applied: do everything once more, the guards see to it that
    nothing comes of it."""
    TWICE = "twice"
    """Above it, of a rev that was applied before: no effect."""


def judge(
    source: Source, offset: int, rev: int, document: Document, mark: Applied | None
) -> Delivery:
    """Judge the record at `offset` that carries the change `rev` of a document.

    `mark` is what this batch has done to the same message so far.
    """
    applied = _as_mapping(mark) or document.get("applied", {}).get(source.topic)
    if applied is None:
        return Delivery.NEW
    is_comparable = (applied["incarnation"], applied["partition"]) == (
        source.incarnation,
        source.partition,
    )
    if is_comparable and offset <= applied["offset"]:
        return Delivery.AGAIN
    return Delivery.TWICE if applied["rev"] >= rev else Delivery.NEW


def _as_mapping(mark: Applied | None) -> Mapping[str, Any] | None:
    if mark is None:
        return None
    return {
        "rev": mark.rev,
        "incarnation": mark.incarnation,
        "partition": mark.partition,
        "offset": mark.offset,
    }
