"""The reactions agent: brings each reaction to the cached message and to the channel's stream.

A batch, step by step: find, refresh, append, mark, barrier. Reactions come in another topic than
their messages, so only the stream itself says whether a message has been there: the append refuses
what comes before its message. Therefore it precedes the marks, which say what was appended. What is
refused is marked as left to the reconciler, durably, before anything behind it moves the stream's
guard past it; so a redelivery always finds out what became of a record. What was changed long ago
counts as changed now before it is appended, so that a resume finds it also while it has no mark.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from faust.types import StreamT
from prometheus_client import Counter

from agents.barrier import Barrier
from agents.delivery import Delivery, judge
from agents.deps import Deps
from app.archive.applied import Applied
from app.archive.documents import Document, render
from app.keys import StreamKey, channel_stream
from app.records import ReactionEvent
from app.stream_log.log import Append, Entry, Source
from app.streaming.application import Application
from app.streaming.work import Received, Work

_skipped = Counter(
    "hubbub_reactions_skipped_total", "Records of reactions that have no effect.", ["reason"]
)
_left = Counter("hubbub_reactions_left_total", "Reactions left to the reconciler.")

PATIENCE_SECONDS: Final = (0.05, 0.2)
"""A message that has a number and is not in its stream is usually on its way there right now."""


@dataclass(frozen=True, slots=True)
class Change:
    """A record's effect: its event, and the document as it is now."""

    offset: int
    event: ReactionEvent
    document: Document
    is_new: bool

    def mark(self, source: Source) -> Applied:
        """What says that the record was dealt with."""
        return Applied(
            message_id=self.event.message_id,
            topic=source.topic,
            rev=self.event.rev,
            incarnation=source.incarnation,
            partition=source.partition,
            offset=self.offset,
            number=None,
        )

    def entry(self) -> Entry:
        """The event as it is appended to the channel's stream."""
        message = render(self.document)
        data = {
            "messageId": self.event.message_id,
            "emoji": self.event.emoji,
            "userId": self.event.user_id,
            "message": orjson.Fragment(message),
        }
        return Entry(
            offset=self.offset,
            type=self.event.type,
            data=orjson.dumps(data),
            change="replace",
            message_id=self.document["_id"],
            rev=self.document["rev"],
            message=message,
            needs=self.document["number"],
        )


@dataclass(slots=True)
class Plan:
    """What a batch comes to, in order."""

    changes: list[Change] = field(default_factory=list)
    gone: list[Change] = field(default_factory=list)
    """Of messages that have been deleted since: the deletion says all there is to say."""
    without_number: list[Change] = field(default_factory=list)
    unknown: list[Received] = field(default_factory=list)
    published_twice: int = 0


def make_plan(
    source: Source,
    received: Iterable[tuple[Received, ReactionEvent]],
    documents: dict[str, Document],
) -> Plan:
    """Decide on every record."""
    plan = Plan()
    marks: dict[str, Applied] = {}
    for item, event in received:
        document = documents.get(event.message_id)
        if document is None or document["channelId"] != event.channel_id:
            plan.unknown.append(item)
            continue
        mark = marks.get(event.message_id)
        delivery = judge(source, item.offset, event.rev, document, mark)
        if delivery is Delivery.TWICE:
            plan.published_twice += 1
            continue
        change = Change(item.offset, event, document, delivery is Delivery.NEW)
        if change.is_new:
            marks[event.message_id] = change.mark(source)
        if document.get("deletedAt") is not None:
            plan.gone.append(change)
        elif document.get("number") is None:
            plan.without_number.append(change)
        else:
            plan.changes.append(change)
    return plan


def marks_of(source: Source, changes: Iterable[Change]) -> list[Applied]:
    """Return the marks of what is new among `changes`: one a message, its last."""
    return list({c.event.message_id: c.mark(source) for c in changes if c.is_new}.values())


class ReactionsRule:
    """Applies reactions to their messages."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def forget(self, partition: int) -> None:
        """Drop nothing: nothing is remembered."""

    async def settle(self, barriers: Sequence[Barrier]) -> None:
        """Return when a majority has the marks of batches."""
        elections = [barrier.election for barrier in barriers]
        await self._deps.marks.confirm(self._deps.instance, *elections)

    async def handle(self, work: Work) -> Barrier | None:
        """Bring about the effects of a batch."""
        records = [
            (item, item.event) for item in work.received if isinstance(item.event, ReactionEvent)
        ]
        if not records:
            return None
        # Asked first: what is read and written from here on, the primary of this election has.
        election = await self._deps.marks.election()
        documents = await self._deps.marks.find_all({event.message_id for _, event in records})
        plan = make_plan(work.source, records, documents)
        for item in plan.unknown:
            work.refuse(item, "unknown_message", "no such message in this channel")
        _skipped.labels("published_twice").inc(plan.published_twice)
        _skipped.labels("deleted_since").inc(len(plan.gone))
        await self._leave(work.source, plan.without_number)
        await self._deps.marks.refresh(change.document for change in plan.changes)
        appended = await self._append(work, plan.changes)
        if marks := marks_of(work.source, sorted([*appended, *plan.gone], key=_offset)):
            await self._deps.marks.apply(marks)
        return Barrier(election)

    async def _append(self, work: Work, changes: Sequence[Change]) -> list[Change]:
        """Append the changes; return them without those that had to be left."""
        waiting, appended, patience = list(changes), list[Change](), list(PATIENCE_SECONDS)
        while waiting:
            await work.ensure_lease()
            refused = await self._deps.log.append(work.source, _appends(waiting))
            # Clients may have seen some of it.
            work.is_irrevocable = True
            appended += [change for change in waiting if not _is_refused(change, refused)]
            waiting = [change for change in waiting if _is_refused(change, refused)]
            if waiting and patience:
                await asyncio.sleep(patience.pop(0))
            elif waiting:
                offsets = set(refused.values())
                early = {c.event.message_id for c in waiting if c.offset in offsets}
                await self._leave(work.source, [c for c in waiting if c.event.message_id in early])
                waiting = [c for c in waiting if c.event.message_id not in early]
        return appended

    async def _leave(self, source: Source, changes: Sequence[Change]) -> None:
        if marks := marks_of(source, changes):
            await self._deps.marks.leave(marks)
        _left.inc(len(changes))


def _offset(change: Change) -> int:
    return change.offset


def _stream(change: Change) -> StreamKey:
    return channel_stream(change.event.channel_id)


def _is_refused(change: Change, refused: dict[StreamKey, int]) -> bool:
    first = refused.get(_stream(change))
    return first is not None and change.offset >= first


def _appends(changes: Iterable[Change]) -> list[Append]:
    entries: defaultdict[StreamKey, list[Entry]] = defaultdict(list)
    for change in changes:
        entries[_stream(change)].append(change.entry())
    return [Append(stream, items, None) for stream, items in entries.items()]


def register(app: Application, deps: Deps) -> None:
    """Give `app` its agent."""
    rule = ReactionsRule(deps)

    @app.agent(app.records, name="reactions")
    async def reactions(stream: StreamT[Any]) -> None:
        await app.lanes.run(stream, rule)
