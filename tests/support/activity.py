"""The activity rule alone: real Redis, and a table that is a dictionary."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import orjson
from aiokafka import ConsumerRecord
from redis.asyncio import Redis

from agents.active_lists import ActiveLists
from agents.activity import ActivityRule
from agents.herald import Herald
from agents.rosters import Rosters
from app.announcements import encode_session
from app.records import TYPES
from app.stream_log.log import Source
from app.streaming.application import Application
from app.streaming.lease import Lease
from app.streaming.work import Received, Work
from app.topics import USER_ACTIVITY
from tables.active_users import ActiveUser

CHANNEL = "c"
_LAST = b"That is all"


class Table:
    """What a rule sees of a Faust table, kept as its changelog would have it."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.data = self

    def hold(self, partition: int) -> Any:
        """The one partition there is."""
        return SimpleNamespace(data=self.entries)

    def __setitem__(self, key: tuple[str, str], value: ActiveUser) -> None:
        self.entries[orjson.dumps(key)] = orjson.dumps(value.asdict())

    def __delitem__(self, key: tuple[str, str]) -> None:
        del self.entries[orjson.dumps(key)]

    async def settle(self) -> None:
        """The changelog has everything at once."""


class Bench:
    """The rule, and what it is given: records of one channel, in batches of 500."""

    def __init__(self, redis: Redis) -> None:
        self.table = Table()
        app = SimpleNamespace(consumer_generation_id=1, source=USER_ACTIVITY)
        self.rosters = Rosters(cast(Application, app), self.table)
        self.herald = Herald(redis)
        self.rule = ActivityRule(self.rosters, ActiveLists(redis), self.herald, self.table)
        self._offset = 0

    async def handle(self, kind: str, users: Sequence[int], session: str = "s") -> None:
        """Handle a record of each user."""
        for start in range(0, len(users), 500):
            received = [self._received(kind, user, session) for user in users[start : start + 500]]
            source = Source(USER_ACTIVITY.name, 0, "aaaaaaaa")
            await self.rule.handle(Work(source, received, Lease(1e9)))

    def _received(self, kind: str, user: int, session: str) -> Received:
        value = encode_session(
            kind,
            CHANNEL,
            user_id=f"u{user}",
            user_name=f"User {user}",
            session_id=f"{session}{user}",
            gateway_id="g1",
        )
        event = TYPES[USER_ACTIVITY.name][kind].from_data(orjson.loads(value))
        self._offset += 1
        raw = SimpleNamespace(offset=self._offset, timestamp=0)
        return Received(cast(ConsumerRecord, raw), event)


@asynccontextmanager
async def listening(redis: Redis, channel: str) -> AsyncIterator[list[Any]]:
    """Keep every frame that is published on a channel, once this has been left."""
    frames: list[Any] = []
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(channel)
        heard = pubsub.listen()
        await anext(heard)  # It is told from now on.
        yield frames
        await redis.publish(channel, _LAST)
        async for item in heard:
            if item["data"] == _LAST:
                break
            frames.append(orjson.loads(item["data"]))
