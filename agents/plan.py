"""What a batch of message records comes to: which have an effect, and which numbers they give.

Pure: it reads documents that were found before, and writes nothing but the numbers into them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agents.delivery import Delivery, judge
from app.archive.applied import Applied
from app.archive.documents import Document
from app.archive.marks import Newest
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
    before: dict[str, str | None] = field(default_factory=dict)
    """By channel that is given numbers, the message whose number the first of them follows."""
    numbered_last: str | None = None
    """The message that MongoDB numbered last: a server that has its number has those of all."""
    unknown: list[Received] = field(default_factory=list)
    delivered_again: int = 0
    published_twice: int = 0
    without_number: int = 0

    @property
    def is_all_new(self) -> bool:
        """Whether nothing in it rests on what others wrote to its messages."""
        return not (
            self.unknown or self.delivered_again or self.published_twice or self.without_number
        )


def make_plan(
    source: Source,
    received: Iterable[tuple[Received, MessageEvent]],
    documents: Mapping[str, Document],
    newest: dict[str, Newest],
) -> Plan:
    """Decide on every record; count `newest`, the newest number by channel, up.

    `newest` was read before `documents`, whose numbers may be higher.
    """
    plan = Plan()
    for found in documents.values():
        known, number = newest.get(found["channelId"]), found.get("number") or 0
        if known is not None and known.number < number:
            newest[found["channelId"]] = Newest(number, found["_id"])
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
        plan.delivered_again += is_redelivery
        given = None
        if isinstance(event, MessageCreated) and document.get("number") is None:
            # Also if it has been deleted since: numbers have no holes.
            given = _give_number(document, newest, plan.before)
        change = _change(item.offset, event, document, is_first=given is not None or is_redelivery)
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
                channel_id=event.channel_id,
            )
    return plan


def _give_number(
    document: Document, newest: dict[str, Newest], before: dict[str, str | None]
) -> int:
    channel_id = document["channelId"]
    last = newest[channel_id]
    before.setdefault(channel_id, last.message_id)
    newest[channel_id] = Newest(last.number + 1, document["_id"])
    document["number"] = last.number + 1
    return last.number + 1


def _change(
    offset: int, event: MessageEvent, document: Document, *, is_first: bool
) -> Change | None:
    """A record's effect; None: its message has no number yet."""
    number = document.get("number")
    is_deleted = document.get("deletedAt") is not None
    if isinstance(event, MessageCreated) and is_first:
        cache = "" if is_deleted else "push"
        return Change(offset, document, "message", cache, number)
    if number is None:
        return None
    if is_deleted:
        return Change(offset, document, "message_deleted", "remove")
    return Change(offset, document, "message_updated", "replace")
