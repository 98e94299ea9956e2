"""The notifications agent: keeps what users are told, shows it to them, and counts the unread.

A batch, step by step: find, insert, mark as read, count, table, projection, append, barrier. The
unread of the users that a batch touches are counted anew in MongoDB, so no crash and no redelivery
can make the count wrong. The projection is written before the event, and the event carries the
count: so what `hello` says and what follows it always fit together.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from faust.types import StreamT
from prometheus_client import Counter

from agents.barrier import Barrier
from agents.deps import Deps
from app.archive.notifications import NewNotification, Place, Reading, render_notification
from app.keys import user_stream
from app.records import Notification, NotificationsRead
from app.stream_log.log import Append, Entry, Source
from app.streaming.application import Application
from app.streaming.work import Received, Work
from tables.notification_state import NotificationState, notification_state_table
from tables.positions import Position
from tables.projections import Projection, notifications_projection, projection_calls

_skipped = Counter("hubbub_notifications_skipped_total", "Notifications that were published twice.")


@dataclass(slots=True)
class Plan:
    """What a batch comes to: what is new, what was read, and what the users are shown, in order."""

    inserts: list[NewNotification] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    shown: list[NewNotification | Reading] = field(default_factory=list)
    unreadable: list[Received] = field(default_factory=list)
    published_twice: int = 0

    @property
    def last(self) -> dict[str, Place]:
        """The last record of each user that is touched."""
        return {each.user_id: each.place for each in self.shown}


def make_plan(source: Source, received: Iterable[Received], places: Mapping[str, Place]) -> Plan:
    """Decide on every record; `places` are those of the notifications that are there already.

    A notification whose record stands where it was inserted from is delivered again: all is done
    once more, and has no effect. One from elsewhere was published twice, and is skipped.
    """
    plan = Plan()
    known = dict(places)
    for item in received:
        event = item.event
        if not isinstance(event, (Notification, NotificationsRead)):
            continue
        at = _read_time(event.occurred_at)
        if at is None:
            plan.unreadable.append(item)
            continue
        place = Place(source.incarnation, source.partition, item.offset)
        if isinstance(event, NotificationsRead):
            reading = Reading(event.user_id, event.ids, at, place)
            plan.readings.append(reading)
            plan.shown.append(reading)
        elif known.setdefault(event.id, place) == place:
            data = orjson.dumps(event.data).decode()
            new = NewNotification(event.id, event.user_id, event.kind, data, at, place)
            if event.id not in places:
                plan.inserts.append(new)
            plan.shown.append(new)
        else:
            plan.published_twice += 1
    return plan


def _read_time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else at


class NotificationsRule:
    """Applies notifications, and what was read of them, to their users."""

    def __init__(self, deps: Deps, notification_state: Any) -> None:
        self._deps = deps
        self._notification_state = notification_state

    def forget(self, partition: int) -> None:
        """Drop nothing: nothing is remembered."""

    async def settle(self, barriers: Sequence[Barrier]) -> None:
        """Return when Kafka has the table writes of this partition, and a majority the rest."""
        await self._notification_state.settle()
        elections = [barrier.election for barrier in barriers]
        await self._deps.marks.confirm(self._deps.instance, *elections)

    async def handle(self, work: Work) -> Barrier | None:
        """Bring about the effects of a batch."""
        archive = self._deps.notifications
        # Asked first: what is read and written from here on, the primary of this election has.
        election = await self._deps.marks.election()
        ids = {item.event.id for item in work.received if isinstance(item.event, Notification)}
        plan = make_plan(work.source, work.received, await archive.places(ids))
        for item in plan.unreadable:
            work.refuse(item, "invalid", "occurredAt is no time")
        _skipped.inc(plan.published_twice)
        if plan.shown:
            await work.ensure_lease()
            await archive.insert(plan.inserts)
            await archive.mark_read(plan.readings)
            unread = await archive.count_unread(plan.last.keys())
            await work.ensure_lease()
            ahead = projection_calls(self._count(plan.last, unread))
            await self._deps.log.append(work.source, _appends(plan.shown, unread), ahead)
            # The user has seen it.
            work.is_irrevocable = True
        return Barrier(election)

    def _count(self, last: Mapping[str, Place], unread: Mapping[str, int]) -> list[Projection]:
        """Write the counts into the table; return what gateways are to see of it."""
        projections = []
        for user_id, place in last.items():
            position = Position(place.incarnation, place.partition, place.offset)
            held = self._notification_state.get(user_id)
            if held is not None and position.is_before(Position(*held.position)):
                continue  # Delivered again, and counted since.
            state = NotificationState(unread=unread[user_id], position=list(position))
            if held != state:
                self._notification_state[user_id] = state
            projections.append(notifications_projection(user_id, unread[user_id], position))
        return projections


def _appends(shown: Sequence[NewNotification | Reading], unread: Mapping[str, int]) -> list[Append]:
    entries: defaultdict[str, list[Entry]] = defaultdict(list)
    for each in shown:
        entries[each.user_id].append(_entry(each, unread[each.user_id]))
    return [Append(user_stream(user_id), items, 0) for user_id, items in entries.items()]


def _entry(each: NewNotification | Reading, unread: int) -> Entry:
    if isinstance(each, Reading):
        data = orjson.dumps({"ids": each.ids, "unread": unread})
        return Entry(each.place.offset, "notifications_read", data)
    document = {
        "_id": each.id,
        "kind": each.kind,
        "data": each.data,
        "createdAt": each.created_at,
        "readAt": None,
    }
    return Entry(each.place.offset, "notification", render_notification(document, unread=unread))


def register(app: Application, deps: Deps) -> None:
    """Give `app` its table and its agent."""
    rule = NotificationsRule(deps, notification_state_table(app))

    @app.agent(app.records, name="notifications")
    async def notifications(stream: StreamT[Any]) -> None:
        await app.lanes.run(stream, rule)
