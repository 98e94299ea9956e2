"""The messages agent: numbers each message, and brings it to the cache, the clients, the counts.

A batch, step by step (docs/events.md): find, plan, bulk write, append, table, barrier. Every step
is safe to repeat, so a batch may be cut off anywhere and come again.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any

from faust.types import StreamT
from prometheus_client import Counter

from agents.deps import Deps
from agents.plan import Change, Plan, make_plan
from app.archive.documents import render
from app.archive.marks import Election
from app.keys import channel_stream
from app.records import MessageCreated, MessageEvent
from app.stream_log.log import Append, Entry, Source
from app.streaming.application import Application
from app.streaming.work import Barrier, Received, Work
from tables.channel_state import ChannelState, channel_state_table

_skipped = Counter("hubbub_records_skipped_total", "Records that have no effect.", ["reason"])


class MessagesRule:
    """Applies creations, edits and deletions of messages to their channels."""

    def __init__(self, deps: Deps, channel_state: Any) -> None:
        self._deps = deps
        self._channel_state = channel_state
        self._newest: defaultdict[int, dict[str, int]] = defaultdict(dict)
        """By partition and channel, of the channels touched since the assignment."""

    def forget(self, partition: int) -> None:
        """Read the newest numbers of this partition's channels again."""
        self._newest.pop(partition, None)

    async def settle(self) -> None:
        """Return when Kafka has the table writes of this batch's partition."""
        await self._channel_state.settle()

    async def handle(self, work: Work) -> Barrier | None:
        """Bring about the effects of a batch."""
        records = [(item, item.event) for item in work.received if _is_of_message(item)]
        if not records:
            return None
        plan, election = await self._settled_plan(work.source, records)
        for item in plan.unknown:
            work.refuse(item, "unknown_message", "no such message in this channel")
        _skipped.labels("published_twice").inc(plan.published_twice)
        _skipped.labels("without_number").inc(plan.without_number)
        await work.ensure_lease()
        if plan.marks:
            election = await self._deps.marks.apply(list(plan.marks.values()))
            # Clients may see these numbers from now on, so they are never given back.
            work.is_irrevocable = True
        if plan.changes:
            await work.ensure_lease()
            await self._deps.log.append(work.source, _appends(plan.changes))
            self._count(work.source, plan.changes)
        return partial(self._deps.marks.confirm, self._deps.instance, election)

    async def _settled_plan(
        self, source: Source, records: list[tuple[Received, MessageEvent]]
    ) -> tuple[Plan, Election]:
        """Return the plan and, where it marks nothing, the election that its reading rests on."""
        plan = await self._plan(source, records)
        if plan.marks:
            return plan, None
        # All of it was applied before, by marks that may not be durable yet. What is read after
        # this, the primary of this election has; so its barrier covers them.
        election = await self._deps.marks.election()
        return await self._plan(source, records), election

    async def _plan(self, source: Source, records: list[tuple[Received, MessageEvent]]) -> Plan:
        documents = await self._deps.marks.find_all({event.changed_id for _, event in records})
        newest = self._newest[source.partition]
        created = {e.channel_id for _, e in records if isinstance(e, MessageCreated)}
        if unknown := [channel_id for channel_id in created if channel_id not in newest]:
            highest = await self._deps.marks.highest_numbers(unknown)
            for channel_id, number in highest.items():
                counted = self._channel_state.get(channel_id)
                newest[channel_id] = max(number, counted.number if counted else 0)
        return make_plan(source, records, documents, newest)

    def _count(self, source: Source, changes: Iterable[Change]) -> None:
        numbered = {c.document["channelId"]: c for c in changes if c.number is not None}
        for channel_id, change in numbered.items():
            position = [source.incarnation, source.partition, change.offset]
            counted = self._channel_state.get(channel_id)
            if counted is None or counted.number < change.number:
                self._channel_state[channel_id] = ChannelState(
                    number=change.number, position=position
                )


def _is_of_message(item: Received) -> bool:
    return isinstance(item.event, MessageEvent)


def _appends(changes: Iterable[Change]) -> list[Append]:
    entries: defaultdict[str, list[Entry]] = defaultdict(list)
    floors: dict[str, int] = {}
    for change in changes:
        document = change.document
        channel_id = document["channelId"]
        if change.number is not None:
            floors.setdefault(channel_id, change.number - 1)
        entries[channel_id].append(
            Entry(
                offset=change.offset,
                type=change.event_type,
                data=render(document),
                number=change.number,
                change=change.cache,
                message_id=document["_id"],
                rev=document["rev"],
            )
        )
    return [
        Append(channel_stream(channel_id), items, floors.get(channel_id))
        for channel_id, items in entries.items()
    ]


def register(app: Application, deps: Deps) -> None:
    """Give `app` its table and its agent."""
    rule = MessagesRule(deps, channel_state_table(app))

    @app.agent(app.records, name="messages")
    async def messages(stream: StreamT[Any]) -> None:
        await app.lanes.run(stream, rule)
