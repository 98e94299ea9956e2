"""Who is in a channel, as the activity agent keeps it in Redis, and as `joined` says it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import orjson
from redis.asyncio import Redis

from app.gathering import Gathering
from app.keys import active_names, active_users
from app.outages import answering
from web.crowds import PAUSE_SECONDS
from web.fan_out.hub import Hub
from web.fan_out.stream import Stream

LISTED: Final = 100
"""Users that `joined` names; it counts all."""

REDIS_SECONDS: Final = 1.0
FRESH_SECONDS: Final = 2.0
"""What is told of presence may be lost: no list is taken for right for longer."""
_LOOKS: Final = 3
"""So often a list is read of whose channel something is told meanwhile; there is no end to it where
presence never rests."""
_REMEMBERED: Final = 1000
_LISTS_A_TRIP: Final = 100
_READ: Final = (Path(__file__).parent / "read_lists.lua").read_text()


@dataclass(frozen=True, slots=True)
class ActiveList:
    """Some of a channel's users as JSON, and how many there are in all."""

    items: orjson.Fragment
    count: int

    @property
    def fields(self) -> dict[str, Any]:
        """What `joined` says of it."""
        return {"activeUsers": self.items, "activeCount": self.count}


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A list, and the moment of its stream in which it was asked for."""

    active: ActiveList
    stream: Stream
    unlogged: int
    at: float

    def is_current(self, stream: Stream, now: float) -> bool:
        same = self.stream is stream and self.unlogged == stream.unlogged
        return same and now - self.at < FRESH_SECONDS


class ActiveUsers:
    """Reads the lists. A list is read once for all who join while nothing is told of the channel,
    and many lists in one round trip: thousands of clients may come back at once."""

    def __init__(self, redis: Redis, hub: Hub) -> None:
        self._redis = redis
        self._script = redis.register_script(_READ)
        self._hub = hub
        self._remembered: dict[str, _Remembered] = {}
        self._lists: Gathering[str, ActiveList] = Gathering(
            self._read, _LISTS_A_TRIP, PAUSE_SECONDS
        )

    async def of_streams(self, streams: Sequence[Stream]) -> list[ActiveList]:
        """Return the list of each channel, with all that was told of it on its stream until now.

        Raises:
            Unavailable: Redis does not answer.
        """
        lists: dict[Stream, _Remembered] = {}
        if not self._hub.feed.is_catching_up:
            now = time.monotonic()
            for stream in streams:
                held = self._remembered.get(stream.key.id)
                if held is not None and held.is_current(stream, now):
                    lists[stream] = held
        for _ in range(_LOOKS):
            # What is told while lists are read goes to `followers` and `replaying`, not to
            # who joins and is in neither yet. It may not be in the lists.
            missing = [s for s in streams if s not in lists or lists[s].unlogged != s.unlogged]
            if not missing:
                break
            lists |= await self._read_anew(missing)
        return [lists[stream].active for stream in streams]

    async def _read_anew(self, streams: Sequence[Stream]) -> dict[Stream, _Remembered]:
        now, moments = time.monotonic(), [stream.unlogged for stream in streams]
        read = await self._lists.ask_each(stream.key.id for stream in streams)
        lists = {
            stream: _Remembered(active, stream, unlogged, now)
            for stream, active, unlogged in zip(streams, read, moments, strict=True)
        }
        if len(self._remembered) > _REMEMBERED:
            self._remembered.clear()
        self._remembered |= {stream.key.id: held for stream, held in lists.items()}
        return lists

    async def _read(self, asked: Sequence[str]) -> list[ActiveList]:
        channel_ids = list(dict.fromkeys(asked))
        keys = [key for c in channel_ids for key in (active_users(c), active_names(c))]
        async with answering("redis", REDIS_SECONDS):
            answers = await self._script(keys=keys, args=[_now_ms(), LISTED])
        lists = {
            channel_id: ActiveList(_encode(_items(users, names)), count)
            for channel_id, (count, users, names) in zip(channel_ids, answers, strict=True)
        }
        return [lists[channel_id] for channel_id in asked]

    async def count(self, channel_id: str) -> int:
        """Return how many users are in a channel.

        Raises:
            Unavailable: Redis does not answer.
        """
        async with answering("redis", REDIS_SECONDS):
            return int(await self._redis.zcount(active_users(channel_id), _now_ms(), "+inf"))

    async def page(
        self, channel_id: str, limit: int, after: str
    ) -> tuple[list[dict[str, str]], int, str | None]:
        """Return up to `limit` users by id, from above `after`; the count of all; and the id to go
        on after, if there are more.

        Raises:
            Unavailable: Redis does not answer.
        """
        async with answering("redis", REDIS_SECONDS):
            found = await self._redis.zrangebyscore(active_users(channel_id), _now_ms(), "+inf")
            ids = sorted(cast("list[bytes]", found))
            above = [user for user in ids if user > after.encode()]
            users = above[:limit]
            named = await self._redis.hmget(active_names(channel_id), users) if users else []
            # redis-py's types allow for text, which this client does not decode.
            names = cast("list[bytes | None]", named)
        last = users[-1].decode() if len(above) > limit else None
        return _items(users, names), len(ids), last


def _items(users: Sequence[bytes], names: Sequence[bytes | None]) -> list[dict[str, str]]:
    # A name may have gone in between: the id is better than nothing.
    return [
        {"userId": user.decode(), "userName": (name or user).decode()}
        for user, name in zip(users, names, strict=True)
    ]


def _encode(items: Sequence[dict[str, str]]) -> orjson.Fragment:
    # A copy: what orjson has encoded lies in a buffer of 4 KB, and many lists are remembered.
    return orjson.Fragment(bytes(memoryview(orjson.dumps(items))))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
