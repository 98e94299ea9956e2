"""The activity agent: sessions become who is in a channel, for Redis, the clients and the table.

The table comes last: a batch that is cut off before it finds nothing done, and does all of it
again. What clients are told follows, and is best effort.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from faust.types import StreamT

from agents.active_lists import ActiveLists
from agents.deps import Deps
from agents.expiry import Expiry
from agents.herald import Herald
from agents.notices import Change, encode_frame
from agents.rosters import Roster, Rosters
from agents.sessions import Active, apply
from app.records import ActiveUsersWanted, SessionEvent, Typing
from app.streaming.application import Application
from app.streaming.work import Received, Work
from tables.active_users import active_users_table
from tables.positions import Position

TYPING_MS: Final = 10_000
"""What was typed so long ago, while Kafka was away or this group behind, is told to nobody."""


@dataclass(slots=True)
class Effects:
    """What a batch comes to: the users it leaves in their channels (None: gone), who of them came
    or left, whose lists are to be written anew, and who types."""

    users: dict[tuple[str, str], Active | None] = field(default_factory=dict)
    changes: defaultdict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    wanted: set[str] = field(default_factory=set)
    typing: dict[tuple[str, str], str] = field(default_factory=dict)


class ActivityRule:
    """Applies joins and leaves, and passes typing on."""

    def __init__(self, rosters: Rosters, lists: ActiveLists, herald: Herald, table: Any) -> None:
        self._rosters = rosters
        self._lists = lists
        self._herald = herald
        self._table = table

    def forget(self, partition: int) -> None:
        """Load this partition's roster from the table again."""
        self._rosters.forget(partition)

    async def settle(self, barriers: Sequence[None]) -> None:
        """Return when Kafka has the table writes of this partition."""
        await self._table.settle()

    async def handle(self, work: Work) -> None:
        """Bring about the effects of a batch."""
        partition = work.source.partition
        await work.ensure_lease()
        async with self._rosters.locks[partition]:
            roster = self._rosters.of(partition)
            effects = find_effects(roster, work, time.time_ns() // 1_000_000)
            await self._write_lists(roster, effects)
            await work.ensure_lease()
            for (channel_id, user_id), active in effects.users.items():
                roster.put(channel_id, user_id, active)
            counts = {channel_id: roster.count(channel_id) for channel_id in effects.changes}
        await self._herald.tell(effects.changes, counts)
        await self._herald.publish(
            (channel_id, encode_frame("typing", channel_id, {"userId": user_id, "userName": name}))
            for (channel_id, user_id), name in effects.typing.items()
        )

    async def _write_lists(self, roster: Roster, effects: Effects) -> None:
        if effects.changes:
            await self._lists.change(effects.changes)
        if effects.wanted:
            names = {channel_id: dict(roster.names(channel_id)) for channel_id in effects.wanted}
            for (channel_id, user_id), active in effects.users.items():
                if channel_id in names and active is not None:
                    names[channel_id][user_id] = active.name
                elif channel_id in names:
                    names[channel_id].pop(user_id, None)
            await self._lists.rewrite(names)


def find_effects(roster: Roster, work: Work, now_ms: int) -> Effects:
    """Return what a batch comes to; changes nothing."""
    effects = Effects()
    names: dict[tuple[str, str], str] = {}
    for item in work.received:
        event = item.event
        if isinstance(event, SessionEvent):
            key = (event.channel_id, event.user_id)
            held = effects.users[key] if key in effects.users else roster.find(*key)
            position = Position(work.source.incarnation, work.source.partition, item.offset)
            effects.users[key] = active = apply(held, event, position, now_ms)
            known = active or held
            if known is not None and _name_of(active) != _name_of(roster.find(*key)):
                # Told even if it comes to nothing in the end: an attempt that was cut off may have
                # told, and written into the list, what was so in between.
                names[key] = known.name
        elif isinstance(event, ActiveUsersWanted):
            effects.wanted.add(event.channel_id)
        elif isinstance(event, Typing) and not _is_stale(item, now_ms):
            effects.typing[event.channel_id, event.user_id] = event.user_name
    for (channel_id, user_id), active in list(effects.users.items()):
        if active is roster.find(channel_id, user_id):
            del effects.users[channel_id, user_id]
        if (name := names.get((channel_id, user_id))) is not None:
            last = name if active is None else active.name
            effects.changes[channel_id].append(Change(user_id, last, active is not None))
    return effects


def _name_of(active: Active | None) -> str | None:
    return None if active is None else active.name


def _is_stale(item: Received, now_ms: int) -> bool:
    return now_ms - int(item.raw.timestamp) > TYPING_MS


def register(app: Application, deps: Deps) -> None:
    """Give `app` its table, its agent, and what runs beside it."""
    table = active_users_table(app)
    rosters, lists, herald = Rosters(app, table), ActiveLists(deps.redis), Herald(deps.redis)
    rule = ActivityRule(rosters, lists, herald, table)

    @app.agent(app.records, name="activity")
    async def activity(stream: StreamT[Any]) -> None:
        await app.lanes.run(stream, rule)

    app.task(Expiry(app, rosters, lists).run)
    app.task(herald.run)
