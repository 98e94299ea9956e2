"""Who is in which channel, as the table `active_users` has it, decoded and by partition."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from agents.sessions import Active, Session
from app.streaming.application import Application
from tables.active_users import ActiveUser, load_active_users
from tables.positions import Position


class Roster:
    """One partition's active users.

    Invariant: equal to the table's partition; only what changes both may change either.
    """

    def __init__(self, table: Any, partition: int) -> None:
        self._table = table
        self.channels: dict[str, dict[str, Active]] = {}
        for channel_id, user_id, name, sessions, position in load_active_users(table, partition):
            living = {key: Session(*value) for key, value in sessions.items()}
            active = Active(name, living, Position(*position))
            self.channels.setdefault(channel_id, {})[user_id] = active

    def __iter__(self) -> Iterator[tuple[str, str, Active]]:
        for channel_id, users in list(self.channels.items()):
            for user_id, active in list(users.items()):
                yield channel_id, user_id, active

    @property
    def gateways(self) -> set[str]:
        """The gateways on whose leases sessions live."""
        return {
            session.gateway_id
            for _, _, active in self
            for session in active.sessions.values()
            if not session.expires_ms
        }

    def find(self, channel_id: str, user_id: str) -> Active | None:
        """Return a user of a channel; None: not there."""
        return self.channels.get(channel_id, {}).get(user_id)

    def names(self, channel_id: str) -> Mapping[str, str]:
        """The names of a channel's users by their ids."""
        users = self.channels.get(channel_id, {})
        return {user_id: active.name for user_id, active in users.items()}

    def count(self, channel_id: str) -> int:
        """How many users are in a channel."""
        return len(self.channels.get(channel_id, ()))

    def put(self, channel_id: str, user_id: str, active: Active | None) -> None:
        """Write a user here and in the table; only in an event of this partition."""
        if active is not None:
            self._table[channel_id, user_id] = ActiveUser(
                name=active.name,
                sessions={key: list(session) for key, session in active.sessions.items()},
                position=list(active.position),
            )
            self.channels.setdefault(channel_id, {})[user_id] = active
            return
        users = self.channels.get(channel_id, {})
        if user_id in users:
            del self._table[channel_id, user_id]
            del users[user_id]
            if not users:
                del self.channels[channel_id]


class Rosters:
    """The rosters of the partitions that a worker holds, each loaded when it is first asked for."""

    def __init__(self, app: Application, table: Any) -> None:
        self._app = app
        self._table = table
        self._rosters: dict[int, Roster] = {}
        self._generation = -1
        # Who writes a list in Redis from a roster must not overtake whoever is changing it.
        self.locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    def of(self, partition: int) -> Roster:
        """Return a partition's roster; only after the tables have been recovered.

        Raises:
            PartitionLost: it is not held here.
        """
        if self._generation != self._app.consumer_generation_id:
            # Another worker may have had any of them in between.
            self._rosters.clear()
            self._generation = self._app.consumer_generation_id
        roster = self._rosters.get(partition)
        if roster is None:
            roster = self._rosters[partition] = Roster(self._table, partition)
        return roster

    def forget(self, partition: int) -> None:
        """Load a partition's roster again before it is used."""
        self._rosters.pop(partition, None)

    @property
    def held(self) -> list[int]:
        """The partitions of the topic that this worker is assigned."""
        name = self._app.source.name
        return sorted(tp.partition for tp in self._app.consumer.assignment() if tp.topic == name)
