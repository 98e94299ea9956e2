"""What a join does beside following: the channel is made, and the user its member if it is open.

Nobody waits for it. Thousands of clients may join at once, so their joins are gathered: one group
is on its way to MongoDB and Kafka while the next one comes together, and a post waits behind one
call of one group at most. What fails is done at the next join, or by the agent when the user sends
a message.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Final

from prometheus_client import Counter

from app.announcements import encode_membership
from app.archive.channels import OPEN, Channels
from app.archive.members import Members, Pair
from app.clients import MONGODB_SECONDS
from app.errors import Unavailable
from app.outages import Outage, answering
from app.publisher import Publisher
from app.telemetry.tracing import traceparent_of
from app.topics import MESSAGES
from web.crowds import gather

log = logging.getLogger(__name__)

GROUP_LENGTH: Final = 500
WAITING: Final = 20_000
"""Joins that are kept while MongoDB or Kafka is slow; what is beyond waits for the next join."""

_entered = Counter("hubbub_entries_total", "Joins that were looked at for what they change.")
_postponed = Counter("hubbub_entries_postponed_total", "Joins left to the next join of their user.")


class Entries:
    """Joins on their way to being memberships."""

    def __init__(self, channels: Channels, members: Members, publisher: Publisher) -> None:
        self._channels = channels
        self._members = members
        self._publisher = publisher
        self._waiting: dict[Pair, None] = {}
        self._entering: dict[Pair, asyncio.Future[None]] = {}
        self._running: asyncio.Task[None] | None = None

    def add(self, user_id: str, channel_ids: Collection[str]) -> None:
        """A user has joined channels; returns at once."""
        if len(self._waiting) + len(channel_ids) > WAITING:
            _postponed.inc(len(channel_ids))
            return
        for channel_id in channel_ids:
            self._waiting[channel_id, user_id] = None
        if self._running is None and channel_ids:
            self._running = asyncio.create_task(self._run())

    async def withdraw(self, user_id: str, channel_id: str) -> None:
        """Return when no join of this user on this gateway up to now can make them a member."""
        pair = channel_id, user_id
        self._waiting.pop(pair, None)
        if (entered := self._entering.get(pair)) is not None:
            await asyncio.shield(entered)

    async def stop(self) -> None:
        """Enter nobody any more."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await gather(lambda: len(self._waiting))
                pairs = list(self._waiting)[:GROUP_LENGTH]
                for pair in pairs:
                    del self._waiting[pair]
                entered = asyncio.get_running_loop().create_future()
                self._entering = dict.fromkeys(pairs, entered)
                try:
                    await self._enter_group(pairs)
                finally:
                    self._entering = {}
                    entered.set_result(None)
        finally:
            self._running = None

    async def _enter_group(self, pairs: Sequence[Pair]) -> None:
        try:
            await self._enter(pairs)
        except (Unavailable, *Outage) as error:
            _postponed.inc(len(pairs))
            fields = {"joins": len(pairs), "error": type(error).__name__}
            log.info("memberships_wait", extra=fields)
        except Exception:
            # Those who come later must not wait for ever because of it.
            _postponed.inc(len(pairs))
            log.exception("memberships_failed", extra={"joins": len(pairs)})
        else:
            _entered.inc(len(pairs))

    async def _enter(self, pairs: Sequence[Pair]) -> None:
        kinds = await self._channels.ensure({channel_id for channel_id, _ in pairs})
        is_open = {channel_id for channel_id, kind in kinds.items() if kind == OPEN}
        fresh = await self._members.enter(pairs, is_open)
        if fresh:
            joins = [(pair, pair[1]) for pair in fresh]
            await announce(self._publisher, self._members, joins, traceparent_of(None))


async def announce(
    publisher: Publisher,
    members: Members,
    joins: Sequence[tuple[Pair, str]],
    traceparent: str,
) -> None:
    """Publish that users became members, each with the user by whom.

    Raises:
        Unavailable: Kafka has not acknowledged all of it, or MongoDB has not noted that it has.
    """
    records = [
        (channel_id, encode_membership("member_joined", channel_id, user_id, by))
        for (channel_id, user_id), by in joins
    ]
    acknowledged = await publisher.publish_unstored(MESSAGES, records, traceparent)
    published = [pair for (pair, _), is_there in zip(joins, acknowledged, strict=True) if is_there]
    async with answering("mongodb", MONGODB_SECONDS):
        await members.confirm(published)
    if len(published) < len(joins):
        raise Unavailable("kafka")
