"""A worker whose effects can be counted: `python -m tests.support.counting_worker TOPIC 4`.

It stands for any agent: a guarded effect in Redis for each record, then a table.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import faust
import uvloop
from faust.types import StreamT
from redis.asyncio import Redis

from app import settings as settings_module
from app.clients import open_redis
from app.records import TYPES, ChannelRead
from app.settings import Settings
from app.streaming import worker
from app.streaming.application import Application
from app.streaming.work import Work
from app.telemetry import logs
from app.topics import Topic
from tables.redis_table import RedisTable

APPLY: Final = """
local guard = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '-1')
for i = 3, #ARGV, 2 do
  local offset = tonumber(ARGV[i])
  if offset > guard then
    redis.call('HINCRBY', KEYS[2], ARGV[i + 1], 1)
    guard = offset
  end
end
redis.call('HSET', KEYS[1], ARGV[1], guard)
redis.call('RPUSH', KEYS[3], ARGV[2])
"""
"""Guard, effects, writers: as the stream log does it, and who did it in which generation."""

TABLE: Final = "counts"
INCARNATION: Final = "aaaaaaaa"


def counting_topic(name: str) -> Topic:
    """Return a topic in the form of `messages`, whose group keeps the table of counts."""
    TYPES[name] = TYPES["messages"]
    return Topic(name, "channel_id", f"{name}-group", (TABLE,))


def effects_key(topic: Topic) -> str:
    """HASH: how often each record (`<channel>:<number>`) had its effect."""
    return f"{topic.name}:effects"


def writers_key(topic: Topic) -> str:
    """LIST: `<pid>:<generation>` of each write, in order."""
    return f"{topic.name}:writers"


def gate_key(topic: Topic) -> str:
    """STRING: while it is there, batches wait before their first step."""
    return f"{topic.name}:gate"


class Count(faust.Record, include_metadata=False, serializer="json"):
    """How many records a channel has had, and the position of the last."""

    count: int
    position: list[Any]


class CountingRule:
    """Counts each record once, in Redis and in a table."""

    def __init__(self, app: Application, redis: Redis, table: Any) -> None:
        self._app = app
        self._redis = redis
        self._table = table
        self._apply = redis.register_script(APPLY)
        topic = app.source
        self._keys = (f"{topic.name}:guard", effects_key(topic), writers_key(topic))

    async def handle(self, work: Work) -> None:
        """Count the records of a batch."""
        while await self._redis.exists(gate_key(self._app.source)):
            await asyncio.sleep(0.05)
        await work.ensure_lease()
        arguments: list[int | str] = []
        for item in work.received:
            event = item.event
            assert isinstance(event, ChannelRead)
            arguments += [item.offset, f"{event.channel_id}:{event.number}"]
        writer = f"{os.getpid()}:{self._app.consumer_generation_id}"
        await self._apply(keys=self._keys, args=[work.source.partition, writer, *arguments])
        await work.ensure_lease()
        self._count(work)

    def _count(self, work: Work) -> None:
        changed: dict[str, Count] = {}
        for item in work.received:
            assert isinstance(item.event, ChannelRead)
            channel_id = item.event.channel_id
            held = changed.get(channel_id) or self._table.get(channel_id)
            if held is None or held.position[2] < item.offset:
                position = [INCARNATION, work.source.partition, item.offset]
                changed[channel_id] = Count(held.count + 1 if held else 1, position)
        for channel_id, count in changed.items():
            self._table[channel_id] = count

    async def settle(self, barriers: Sequence[None]) -> None:
        """Wait for the table."""
        await self._table.settle()

    def forget(self, partition: int) -> None:
        """Nothing is remembered."""


async def run(topic: Topic, partitions: int, settings: Settings) -> int:
    """Run until told to stop."""
    redis = open_redis(settings)
    app = Application(
        topic, settings, partitions=partitions, incarnation=INCARNATION, table=RedisTable
    )
    rule = CountingRule(app, redis, app.Table(TABLE, value_type=Count, partitions=partitions))

    @app.agent(app.records, name="counter")
    async def counter(stream: StreamT[Any]) -> None:
        await app.lanes.run(stream, rule)

    try:
        return await worker.run(app, settings, {"redis": redis.ping})
    finally:
        await redis.aclose()


def main() -> int:
    """Read the settings and run; return the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("topic")
    parser.add_argument("partitions", type=int)
    arguments = parser.parse_args()
    settings = settings_module.load()
    logs.configure(level=settings.log_level, form=settings.log_format)
    return uvloop.run(run(counting_topic(arguments.topic), arguments.partitions, settings))


if __name__ == "__main__":
    sys.exit(main())
