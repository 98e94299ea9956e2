"""The sweep of the activity worker: ends what is over, and keeps the lists in Redis alive.

A table is written only inside a stream, so a session that is over is told as a record. It lies
behind whatever was published meanwhile: a user who is back is back before they could leave.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from typing import Final

from agents.active_lists import ActiveLists, cut
from agents.rosters import Roster, Rosters
from agents.sessions import Session
from app.announcements import encode_session
from app.errors import PartitionLost
from app.streaming.application import Application
from app.streaming.failures import is_transient
from app.telemetry.tracing import traceparent_of

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 5.0

MISSING_SECONDS: Final = 15.0
"""A gateway is dead when its lease is missing for so long: a flushed Redis has none until gateways
have renewed theirs, every 10 s."""

_AGAIN_SECONDS: Final = 30.0
"""A session that is still there so long after it was told to be over is told of again."""

_AT_ONCE: Final = 500
"""Records on their way at a time: a dead gateway has thousands of sessions."""

Over = tuple[str, str, str, str, Session]
"""Channel, user, name, session id and session."""


class Expiry:
    """Sweeps over the sessions of the partitions that this worker holds."""

    def __init__(self, app: Application, rosters: Rosters, lists: ActiveLists) -> None:
        self._app = app
        self._rosters = rosters
        self._lists = lists
        self._missing_since: dict[str, float] = {}
        self._told_at: dict[tuple[str, str, str], float] = {}

    async def run(self) -> None:
        """Sweep every 5 s, for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.9, 1.0))
            try:
                await self.sweep()
            except PartitionLost:
                continue  # A rebalance is under way.
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("session_sweep_fails", extra={"error": type(error).__name__})

    async def sweep(self) -> None:
        """Renew the lists that are due, and tell of every session that is over.

        Raises what a dependency that is away does: the next sweep does what is left.
        """
        if not (self._app.is_ready and self._app.lease.is_held):
            return
        rosters = {number: self._rosters.of(number) for number in self._rosters.held}
        gateways: set[str] = set()
        for roster in rosters.values():
            gateways |= roster.gateways
            await asyncio.sleep(0)  # Records go first.
        missing, due = await self._lists.look(gateways, rosters)
        for number in sorted(due):
            await self._renew(number)
        dead = self._find_dead(missing)
        for number, roster in rosters.items():
            await self._end(number, self._find_over(roster, dead))
            await asyncio.sleep(0)

    def _find_dead(self, missing: set[str]) -> set[str]:
        now = time.monotonic()
        self._missing_since = {
            gateway: self._missing_since.get(gateway, now) for gateway in missing
        }
        return {
            gateway
            for gateway, since in self._missing_since.items()
            if now - since >= MISSING_SECONDS
        }

    def _find_over(self, roster: Roster, dead: set[str]) -> list[Over]:
        now_ms = time.time_ns() // 1_000_000
        return [
            (channel_id, user_id, active.name, session_id, session)
            for channel_id, user_id, active in roster
            for session_id, session in active.sessions.items()
            if session.is_over(dead, now_ms)
        ]

    async def _end(self, partition: int, over: list[Over]) -> None:
        now = time.monotonic()
        self._told_at = {key: at for key, at in self._told_at.items() if now - at < _AGAIN_SECONDS}
        untold = [item for item in over if (item[0], item[1], item[3]) not in self._told_at]
        for start in range(0, len(untold), _AT_ONCE):
            some = untold[start : start + _AT_ONCE]
            await self._publish(partition, some)
            self._told_at |= {(item[0], item[1], item[3]): now for item in some}
        if untold:
            log.info("sessions_expired", extra={"partition": partition, "count": len(untold)})

    async def _publish(self, partition: int, over: list[Over]) -> None:
        topic, producer = self._app.source.name, self._app.producer
        sent = [
            await producer.send(
                topic,
                item[0].encode(),
                _encode(*item),
                partition,
                None,
                [("traceparent", traceparent_of(None).encode())],
            )
            for item in over
        ]
        await asyncio.gather(*sent)

    async def _renew(self, partition: int) -> None:
        roster = self._rosters.of(partition)
        sizes = [(channel_id, len(users)) for channel_id, users in roster.channels.items()]
        for channel_ids in cut(sizes):
            await self.rewrite(partition, channel_ids)
        await self._lists.mark_renewed(partition)

    async def rewrite(self, partition: int, channel_ids: list[str]) -> None:
        """Write channels' lists anew from the table, also those of channels that are empty."""
        async with self._rosters.locks[partition]:
            roster = self._rosters.of(partition)
            names: Mapping[str, Mapping[str, str]] = {
                channel_id: roster.names(channel_id) for channel_id in channel_ids
            }
            await self._lists.rewrite(names)


def _encode(
    channel_id: str, user_id: str, user_name: str, session_id: str, session: Session
) -> bytes:
    return encode_session(
        "session_expired",
        channel_id,
        user_id=user_id,
        user_name=user_name,
        session_id=session_id,
        gateway_id=session.gateway_id,
    )
