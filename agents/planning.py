"""From a batch's message records to marks in MongoDB: what each comes to, and its number.

Mostly a batch is a few messages that were sent a moment ago. Their records have all that their
documents have, so nothing is read for them: MongoDB marks them only if they are what the records
say. Whatever else it may be is read first.
"""

from collections.abc import Sequence

from prometheus_client import Counter

from agents.numbering import Numbering
from agents.plan import Plan, make_plan
from app.archive.applied import FEW
from app.archive.documents import Document, parse, render
from app.archive.marks import Election, Marks, Overtaken
from app.records import MessageCreated, MessageEvent
from app.stream_log.log import Source
from app.streaming.work import Received, Work

_skipped = Counter("hubbub_records_skipped_total", "Records that have no effect.", ["reason"])

Records = Sequence[tuple[Received, MessageEvent]]


class Planning:
    """Plans batches and has MongoDB marked."""

    def __init__(self, marks: Marks, numbering: Numbering, owner: str) -> None:
        self._marks = marks
        self._numbering = numbering
        self._owner = owner

    async def apply(self, work: Work, records: Records) -> tuple[Plan, Election]:
        """Plan the effects of records and write their marks; return the plan, and the election of
        the primary that must confirm it.

        Raises:
            Elected: MongoDB has lost what the batch rests on.
            NumberConflict, Overtaken: somebody else numbers or marks; try again.
        """
        if not records:
            return Plan(), None
        plan = self._plan_unread(work.source, records)
        if plan is not None:
            await work.ensure_lease()
            try:
                return plan, await self._numbering.write_unread(work.source, plan)
            except Overtaken:
                pass  # They are not as they were sent.
        plan, election = await self._plan_settled(work.source, records)
        for item in plan.unknown:
            work.refuse(item, "unknown_message", "no such message in this channel")
        _skipped.labels("published_twice").inc(plan.published_twice)
        _skipped.labels("without_number").inc(plan.without_number)
        await work.ensure_lease()
        if plan.marks:
            election = await self._numbering.write(plan)
        return plan, election

    def _plan_unread(self, source: Source, records: Records) -> Plan | None:
        """The plan of a few new messages of channels whose newest number is known."""
        if len(records) > FEW:
            return None
        documents = {}
        for item, event in records:
            document = _sent(item, event)
            if document is None or document["_id"] in documents:
                return None
            documents[document["_id"]] = document
        newest = self._numbering.peek(source.partition, {event.channel_id for _, event in records})
        if newest is None:
            return None
        return make_plan(source, records, documents, newest)

    async def _plan_settled(self, source: Source, records: Records) -> tuple[Plan, Election]:
        """The plan and, where it marks nothing, the election that its reading rests on."""
        plan = await self._plan(source, records)
        if plan.is_all_new:
            return plan, None
        # Some of it rests on what was read: on marks that may not be durable, or on what a primary
        # that is none any more did not know. What is read after this, the primary of this election
        # has; if it can still confirm that, it is as good as acknowledged.
        election = await self._marks.election()
        self._numbering.forget(source.partition)
        plan = await self._plan(source, records)
        await self._marks.confirm(self._owner, election)
        return plan, election

    async def _plan(self, source: Source, records: Records) -> Plan:
        created = {e.channel_id for _, e in records if isinstance(e, MessageCreated)}
        first = min(item.offset for item, _ in records)
        # In this order: a command of an earlier attempt may still be giving numbers. Those that
        # come between the two are seen in the messages; those that come later, by `number`.
        newest = await self._numbering.newest(source, first, created)
        changed = {event.changed_id for _, event in records}
        documents = await self._numbering.find(source, first, changed)
        return make_plan(source, records, documents, newest)


def _sent(item: Received, event: MessageEvent) -> Document | None:
    """The document of a message as it was sent; None if the record does not have all of it."""
    if not isinstance(event, MessageCreated) or event.rev != 1:
        return None
    try:
        document = parse(event.message)
        # Numbers in its metadata may be longer than a parser's.
        is_exact = render(document) in item.raw.value
    except (KeyError, TypeError, ValueError):
        return None
    return document if is_exact and document["channelId"] == event.channel_id else None
