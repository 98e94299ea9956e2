"""What a batch of message records comes to: which have an effect, and which numbers they give.

Pure: it reads documents that were found before, and writes nothing but the numbers into them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agents.delivery import Delivery, judge
from app.archive.documents import Document
from app.archive.marks import Applied
from app.records import MessageCreated, MessageEvent
from app.stream_log.log import Source
from app.streaming.work import Received


@dataclass(frozen=True, slots=True)
class Change:
    """A record's effect on its channel. `number` is given for a creation only."""

    offset: int
    document: Document
    event_type: str
    cache: str
    number: int | None = None


@dataclass(slots=True)
class Plan:
    """The effects of a batch, in order, and the marks that make them durable."""

    changes: list[Change] = field(default_factory=list)
    marks: dict[str, Applied] = field(default_factory=dict)
    unknown: list[Received] = field(default_factory=list)
    published_twice: int = 0
    without_number: int = 0


def make_plan(
    source: Source,
    received: Iterable[tuple[Received, MessageEvent]],
    documents: Mapping[str, Document],
    newest: dict[str, int],
) -> Plan:
    """Decide on every record; count `newest`, the newest number by channel, up.

    `newest` was read before `documents`, whose numbers may be higher.
    """
    plan = Plan()
    for found in documents.values():
        if found["channelId"] in newest:
            known = newest[found["channelId"]]
            newest[found["channelId"]] = max(known, found.get("number") or 0)
    for item, event in received:
        document = documents.get(event.changed_id)
        if document is None or document["channelId"] != event.channel_id:
            plan.unknown.append(item)
            continue
        mark = plan.marks.get(event.changed_id)
        delivery = judge(source, item.offset, event.rev, document, mark)
        if delivery is Delivery.TWICE:
            plan.published_twice += 1
            continue
        is_redelivery = delivery is Delivery.AGAIN
        change, given = _change(item.offset, event, document, newest, is_redelivery=is_redelivery)
        if change is None:
            plan.without_number += 1  # Pending, until the reconciler publishes it as a creation.
            continue
        plan.changes.append(change)
        if not is_redelivery:
            number, numbered_offset = given, item.offset
            if given is None and mark is not None:
                number, numbered_offset = mark.number, mark.numbered_offset
            plan.marks[event.changed_id] = Applied(
                message_id=event.changed_id,
                topic=source.topic,
                rev=event.rev,
                incarnation=source.incarnation,
                partition=source.partition,
                offset=item.offset,
                number=number,
                numbered_offset=numbered_offset,
            )
    return plan


def _change(
    offset: int,
    event: MessageEvent,
    document: Document,
    newest: dict[str, int],
    *,
    is_redelivery: bool,
) -> tuple[Change | None, int | None]:
    number = document.get("number")
    is_deleted = document.get("deletedAt") is not None
    if isinstance(event, MessageCreated) and (number is None or is_redelivery):
        given = None
        if number is None:
            # Also if it has been deleted since: numbers have no holes.
            number = given = newest[event.channel_id] = newest[event.channel_id] + 1
            document["number"] = number
        cache = "" if is_deleted else "push"
        return Change(offset, document, "message", cache, number), given
    if number is None:
        return None, None
    if is_deleted:
        return Change(offset, document, "message_deleted", "remove"), None
    return Change(offset, document, "message_updated", "replace"), None
