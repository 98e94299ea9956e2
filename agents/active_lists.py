"""The lists of active users in Redis, as gateways read them: `active:…` and `active-names:…`."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from redis.asyncio import Redis

from agents.notices import Change
from app.gathering import Gathering
from app.keys import (
    ACTIVE_RENEWED_SECONDS,
    ACTIVE_SECONDS,
    active_names,
    active_renewed,
    active_users,
    gateway_lease,
)

_NAMES_A_TRIP: Final = 1000
"""So that neither Redis nor a partition's records wait long for one rewrite."""

_PARTITIONS_A_TRIP: Final = 100
_CHANGE: Final = (Path(__file__).parent / "change_lists.lua").read_text()

Names = Mapping[str, str]
"""Names of users by their ids."""

Changes = Mapping[str, Iterable[Change]]
"""Who came to a channel and who left it, by channel."""


class ActiveLists:
    """Writes the lists, and knows when those of a partition are due.

    Each user stays in a list for 300 s, unless written again: nobody is there for ever because a
    worker is not.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = redis.register_script(_CHANGE)
        self._changes: Gathering[Changes, None] = Gathering(self._change_all, _PARTITIONS_A_TRIP)

    async def change(self, changes: Changes) -> None:
        """Add and remove users, by channel; safe to repeat.

        Partitions that change lists at the same time share a round trip.
        """
        await self._changes.ask(changes)

    async def _change_all(self, gathered: Sequence[Changes]) -> Sequence[None]:
        # A channel's records are in one partition, and so in one of these.
        users = [
            (channel_id, change)
            for changes in gathered
            for channel_id, changed in changes.items()
            for change in changed
        ]
        for start in range(0, len(users), _NAMES_A_TRIP):
            await self._change_some(users[start : start + _NAMES_A_TRIP])
        return [None] * len(gathered)

    async def _change_some(self, users: Iterable[tuple[str, Change]]) -> None:
        until_ms = time.time_ns() // 1_000_000 + ACTIVE_SECONDS * 1000
        numbers: dict[str, int] = {}
        arguments: list[str | int] = [until_ms, ACTIVE_SECONDS]
        for channel_id, change in users:
            number = numbers.setdefault(channel_id, len(numbers) + 1)
            name = (change.name or change.user_id) if change.has_come else ""
            arguments += (number, change.user_id, name)
        keys = [key for c in numbers for key in (active_users(c), active_names(c))]
        await self._script(keys=keys, args=arguments)

    async def rewrite(self, channels: Mapping[str, Names]) -> None:
        """Make the lists of channels exactly these, each at one stroke."""
        until_ms = time.time_ns() // 1_000_000 + ACTIVE_SECONDS * 1000
        async with self._redis.pipeline(transaction=True) as pipeline:
            for channel_id, names in channels.items():
                users_key, names_key = active_users(channel_id), active_names(channel_id)
                pipeline.unlink(users_key, names_key)
                if names:
                    pipeline.zadd(users_key, dict.fromkeys(names, until_ms))
                    pipeline.hset(names_key, mapping=cast("Mapping[Any, Any]", names))
                    pipeline.expire(users_key, ACTIVE_SECONDS)
                    pipeline.expire(names_key, ACTIVE_SECONDS)
            await pipeline.execute()

    async def look(
        self, gateways: Iterable[str], partitions: Iterable[int]
    ) -> tuple[set[str], set[int]]:
        """Return which of the gateways have no lease, and which partitions' lists are due: 60 s
        have passed, or Redis has lost them."""
        asked, numbers = list(gateways), list(partitions)
        keys = [*map(gateway_lease, asked), *map(active_renewed, numbers)]
        found = await self._redis.mget(keys) if keys else []
        held, renewed = found[: len(asked)], found[len(asked) :]
        return (
            {gateway for gateway, lease in zip(asked, held, strict=True) if lease is None},
            {number for number, mark in zip(numbers, renewed, strict=True) if mark is None},
        )

    async def mark_renewed(self, partition: int) -> None:
        """Note that the lists of a partition are whole."""
        await self._redis.set(active_renewed(partition), 1, ex=ACTIVE_RENEWED_SECONDS)


def cut(channel_ids: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Cut channels, each with its count of users, into what is rewritten in one trip."""
    trip: list[str] = []
    names = 0
    for channel_id, count in channel_ids:
        if trip and names + count > _NAMES_A_TRIP:
            yield trip
            trip, names = [], 0
        trip.append(channel_id)
        names += count
    if trip:
        yield trip
