"""The messages agent: numbers each message, and brings it to the cache, the clients, the counts.

A batch, step by step (docs/events.md): find, plan, bulk write, append, tables, barrier. Every step
is safe to repeat, so a batch may be cut off anywhere and come again.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from faust.types import StreamT

from agents.appends import channel_appends, user_appends
from agents.barrier import Barrier
from agents.deps import Deps
from agents.fold import fold_records
from agents.mentions import mentions_in, publish_mentions
from agents.numbering import Numbering
from agents.plan import Change
from agents.planning import Planning
from agents.read_states import ReadStates
from app.archive.channels import OPEN
from app.records import ChannelRead, MemberJoined, MessageEvent, ProjectionWanted
from app.stream_log.log import Source
from app.streaming.application import Application
from app.streaming.work import Work
from tables.channel_state import ChannelState, channel_state_table
from tables.positions import Position
from tables.projections import (
    Projection,
    number_projection,
    projection_calls,
    read_state_projection,
)
from tables.read_state import Key, ReadState, read_state_table


class MessagesRule:
    """Applies to channels what happens to their messages, and what their members read."""

    def __init__(self, app: Application, deps: Deps) -> None:
        self._app = app
        self._deps = deps
        self._channel_state = channel_state_table(app)
        self._read_state = read_state_table(app)
        self._numbering = Numbering(deps.marks, self._channel_state.get)
        self._planning = Planning(deps.marks, self._numbering, deps.instance)

    def forget(self, partition: int) -> None:
        """Read the newest numbers of this partition's channels again."""
        self._numbering.forget(partition)

    async def settle(self, barriers: Sequence[Barrier]) -> None:
        """Return when Kafka has the table writes of this partition and the mentions, and a majority
        has the marks."""
        await asyncio.gather(self._channel_state.settle(), self._read_state.settle())
        if mentions := [mention for barrier in barriers for mention in barrier.mentions]:
            await publish_mentions(self._app.producer, mentions)
        elections = [barrier.election for barrier in barriers]
        await self._deps.marks.confirm(self._deps.instance, *elections)

    async def handle(self, work: Work) -> Barrier | None:
        """Bring about the effects of a batch."""
        records = [(i, i.event) for i in work.received if isinstance(i.event, MessageEvent)]
        before = await self._numbers_before(work)
        plan, election = await self._planning.apply(work, records)
        if plan.marks:
            # Clients may see these numbers from now on, so they are never given back.
            work.is_irrevocable = True
        states = await self._fold(work, plan.changes, before)
        if states.left and not records:
            election = await self._deps.marks.election()
        await self._note_members(work, plan.changes, states)
        # What is delivered again was marked by an attempt that may be long ago.
        again = (c.document for c in plan.changes if c.document["_id"] not in plan.marks)
        await self._deps.marks.refresh(again)
        await work.ensure_lease()
        await self._append(work, plan.changes, states)
        self._write_tables(work.source, plan.changes, states)
        self._numbering.go_on(work, plan)
        if not (records or states.left):
            return None  # MongoDB has been told nothing.
        mentions = mentions_in(plan.changes)
        work.is_urgent = bool(mentions)
        return Barrier(election, mentions)

    # Read states

    async def _numbers_before(self, work: Work) -> dict[str, int]:
        """The newest numbers that channels had before this batch, where it matters."""
        read = {i.event.channel_id for i in work.received if isinstance(i.event, ChannelRead)}
        joined = {i.event.channel_id for i in work.received if isinstance(i.event, MemberJoined)}
        if not read | joined:
            return {}
        source, first = work.source, work.received[0].offset
        is_known = not joined and self._numbering.knows(source.partition, read)
        newest = await self._numbering.newest(source, first, read)
        before = {channel_id: newest[channel_id].number for channel_id in read}
        if joined:
            before |= await self._deps.marks.numbers_before(
                list(joined), source.incarnation, source.partition, first
            )
        if not is_known:
            await self._numbering.find(source, first, ())
        return before

    async def _fold(
        self, work: Work, changes: Iterable[Change], before: Mapping[str, int]
    ) -> ReadStates:
        created = {change.offset: change for change in changes if change.number is not None}
        channel_ids = {change.document["channelId"] for change in created.values()}
        kinds = await self._deps.channels.kinds(channel_ids)
        closed = {channel_id for channel_id, kind in kinds.items() if kind != OPEN}
        states = ReadStates(work.source, self._read_state.get)
        fold_records(states, work.received, created, before, closed)
        return states

    async def _note_members(
        self, work: Work, changes: Iterable[Change], states: ReadStates
    ) -> None:
        """Have MongoDB's members follow the records, in their order: by the times these carry, so
        that a membership which a gateway has written since stays."""
        if states.implied:
            sent_at = {change.offset: change.document["createdAt"] for change in changes}
            await self._deps.members.note(
                {key: sent_at[offset] for key, offset in states.implied.items()}
            )
        if states.left:
            said_at = {item.offset: item.at for item in work.received}
            await self._deps.members.forget(
                {key: said_at[offset] for key, offset in states.left.items()}
            )

    # Effects

    async def _append(self, work: Work, changes: Sequence[Change], states: ReadStates) -> None:
        appends = [*channel_appends(changes), *user_appends(states.events)]
        projections = [
            *self._projections(work.source, changes, states),
            *self._wanted(work, states),
        ]
        if appends or projections:
            # Ahead: who asks for the counts because of an event finds it counted.
            ahead = projection_calls(projections)
            await self._deps.log.append(work.source, appends, ahead)

    def _projections(
        self, source: Source, changes: Iterable[Change], states: ReadStates
    ) -> Iterator[Projection]:
        for channel_id, (number, offset) in _newest_of(changes).items():
            position = Position(source.incarnation, source.partition, offset)
            yield number_projection(channel_id, number, position)
        for key, state in states.changed.items():
            yield _read_state_projection(key, state)

    def _wanted(self, work: Work, states: ReadStates) -> Iterator[Projection]:
        for item in work.received:
            if isinstance(item.event, ProjectionWanted):
                channel_id = item.event.channel_id
                counted = self._channel_state.get(channel_id)
                if counted is not None:
                    position = Position(*counted.position)
                    yield number_projection(channel_id, counted.number, position)
                key = channel_id, item.event.user_id
                state = states.get(key)
                if state is not None:
                    yield _read_state_projection(key, state)

    def _write_tables(self, source: Source, changes: Iterable[Change], states: ReadStates) -> None:
        for channel_id, (number, offset) in _newest_of(changes).items():
            counted = self._channel_state.get(channel_id)
            if counted is None or counted.number < number:
                position = [source.incarnation, source.partition, offset]
                self._channel_state[channel_id] = ChannelState(number=number, position=position)
        for key, state in states.changed.items():
            self._read_state[key] = state


def _newest_of(changes: Iterable[Change]) -> dict[str, tuple[int, int]]:
    """The newest number that each channel is given, and the offset of its record."""
    return {
        change.document["channelId"]: (change.number, change.offset)
        for change in changes
        if change.number is not None
    }


def _read_state_projection(key: Key, state: ReadState) -> Projection:
    return read_state_projection(
        *key,
        read=state.read,
        mentions=state.mentions,
        position=state.position,
        left=state.left,
    )


def register(app: Application, deps: Deps) -> None:
    """Give `app` its tables and its agent."""
    rule = MessagesRule(app, deps)

    @app.agent(app.records, name="messages")
    async def messages(stream: StreamT[Any]) -> None:
        await app.lanes.run(stream, rule)
