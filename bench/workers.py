"""The runs that are about the messages worker: alone with a backlog, restarted, in a crowd."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from aiokafka.admin import NewTopic
from redis import Redis

from app.archive.indexes import ensure_indexes
from app.clients import create_admin, create_producer, open_mongodb
from app.keys import TableKey, newest_number
from app.settings import Settings
from app.topics import MESSAGES
from bench.arena import Arena
from bench.contestants import BENCH, Hubbub
from bench.load.processes import read_cpu_seconds
from bench.seeding import seed_changelog, seed_members, seed_messages
from dev.processes import Process

PLAIN_TOPIC: Final = "plain-messages"
PLAIN_DATABASE: Final = "plain_worker"
STOCK: Final = BENCH / "peers" / "stock" / "worker.py"
STOCK_TOPIC: Final = "stock-messages"
STOCK_CHANGELOG: Final = "stock-group-read_state-changelog"
STOCK_HANDLED: Final = "stock:handled"
CHANNELS: Final = 100
_LOOK_SECONDS: Final = 0.02
_MOST_SECONDS: Final = 180.0
_POST_AGAIN_SECONDS: Final = 1.0


@contextmanager
def _open_redis(settings: Settings) -> Iterator["Redis"]:
    redis = Redis(host=settings.redis_host, port=settings.redis_port)
    try:
        yield redis
    finally:
        redis.close()


def prepare_plain(arena: Arena) -> None:
    """Make the topic and the indexes of the plain worker."""

    async def prepare() -> None:
        admin = create_admin(arena.settings)
        await admin.start()
        await admin.create_topics([NewTopic(PLAIN_TOPIC, arena.settings.topic_partitions, 1)])
        await admin.close()
        mongo = open_mongodb(arena.settings).client
        await ensure_indexes(mongo[PLAIN_DATABASE])
        mongo.close()

    asyncio.run(prepare())


def run_backlog_of_hubbub(arena: Arena, hubbub: Hubbub, prefix: str, count: int) -> dict[str, Any]:
    """Stop the messages worker, leave it a backlog, start it; return how fast it went."""
    channels = _seed(arena, prefix, count)
    worker = hubbub.processes["messages.1"]
    return _watch(arena, worker, worker.start, channels, count)


def run_backlog_of_plain(arena: Arena, prefix: str, count: int) -> dict[str, Any]:
    """Leave the plain worker the same backlog."""
    channels = _seed(arena, prefix, count, PLAIN_TOPIC, PLAIN_DATABASE)
    program = str(BENCH / "peers" / "worker" / "plain.py")
    folder = arena.servers[0].folder.parent
    worker = Process("plain", ["python", program], environment=arena.environment, folder=folder)
    try:
        return _watch(arena, worker, worker.start, channels, count)
    finally:
        # In good order, with its last commit: what it is given again it cannot number.
        worker.stop()


def _seed(
    arena: Arena, prefix: str, count: int, topic: str = MESSAGES.name, database: str = ""
) -> list[str]:
    channels = [f"{prefix}-{number}" for number in range(CHANNELS)]

    async def seed() -> None:
        own = open_mongodb(arena.settings)
        target = own.client[database] if database else own
        await seed_messages(arena.settings, target, topic, channels, count)
        own.client.close()

    asyncio.run(seed())
    return channels


def _watch(
    arena: Arena,
    worker: Process,
    start: Callable[[], None],
    channels: Sequence[str],
    count: int,
) -> dict[str, Any]:
    keys = [newest_number(channel) for channel in channels]
    with _open_redis(arena.settings) as redis:
        start()
        started = time.perf_counter()
        first = _wait(lambda: _count(redis, keys), 1)
        pids = {"worker": worker.pid, **arena.pids}
        began, before = time.perf_counter(), read_cpu_seconds(pids)
        last = _wait(lambda: _count(redis, keys), count)
        seconds = time.perf_counter() - began
        cpu = {name: s - before[name] for name, s in read_cpu_seconds(pids).items()}
    handled = last - first
    return {
        "seconds": seconds,
        "start_ms": (began - started) * 1000,
        "rate_per_s": handled / seconds,
        "accepted": handled,
        "cpu_s": cpu,
        "cpu_us_per_message": cpu["worker"] / handled * 1e6,
    }


def _count(redis: Any, keys: Sequence[str]) -> int:
    """How many messages the channels have: their newest numbers, which a blank may follow."""
    return sum(int(value.split()[0]) for value in redis.mget(keys) if value)


def _wait(read: Callable[[], int], wanted: int) -> int:
    deadline = time.perf_counter() + _MOST_SECONDS
    while (found := read()) < wanted:
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{found:,} of {wanted:,} messages in {_MOST_SECONDS:g} s")
        time.sleep(_LOOK_SECONDS)
    return found


def fill_table(arena: Arena, hubbub: Hubbub, channels: Mapping[str, int], *, crowd: str) -> float:
    """Give channels so many members, with the worker stopped; return after it has taken them in.

    `crowd` is the channel that will be posted to.

    Returns the seconds that this took it.
    """
    partitions = arena.settings.topic_partitions
    hubbub.stop_consumer()

    async def seed() -> None:
        database = open_mongodb(arena.settings)
        await seed_members(arena.settings, database, channels, partitions=partitions, crowd=crowd)
        database.client.close()

    asyncio.run(seed())
    began = time.perf_counter()
    wanted = count_entries(arena) + sum(channels.values())
    hubbub.start_consumer()
    wait_flushed(arena, wanted)
    hubbub.processes["messages.1"].wait_ready()
    return time.perf_counter() - began


def count_entries(arena: Arena) -> int:
    """How many entries the table of read states has in Redis."""
    with _open_redis(arena.settings) as redis:
        return sum(int(redis.hlen(shard)) for key in _table_keys(arena) for shard in key.shards)


def wipe_table(arena: Arena) -> None:
    """Take the table of read states from Redis: the next worker replays its changelog."""
    with _open_redis(arena.settings) as redis:
        redis.delete(*(name for key in _table_keys(arena) for name in (key.meta, *key.shards)))


def wait_flushed(arena: Arena, wanted: int) -> None:
    """Return when the table in Redis has so many entries again."""
    _wait(lambda: count_entries(arena), wanted)


def _table_keys(arena: Arena) -> list[TableKey]:
    partitions = range(arena.settings.topic_partitions)
    return [TableKey(MESSAGES.group, "read_state", number) for number in partitions]


# Stock Faust


def prepare_stock(arena: Arena, entries: int) -> None:
    """Make its topics, and fill its changelog with read states as Hubbub's has them."""
    partitions = arena.settings.topic_partitions

    async def prepare() -> None:
        admin = create_admin(arena.settings)
        await admin.start()
        compacted = {"cleanup.policy": "compact"}
        await admin.create_topics(
            [
                NewTopic(STOCK_TOPIC, partitions, 1),
                NewTopic(STOCK_CHANGELOG, partitions, 1, topic_configs=compacted),
            ]
        )
        await admin.close()
        await seed_changelog(arena.settings, STOCK_CHANGELOG, partitions, entries)

    asyncio.run(prepare())


def restart_stock(arena: Arena, entries: int) -> dict[str, Any]:
    """Start it with a record waiting; return when it has handled that, and stop it."""

    async def post() -> None:
        producer = create_producer(arena.settings)
        await producer.start()
        await producer.send_and_wait(STOCK_TOPIC, b"{}", partition=0)
        await producer.stop()

    def look(redis: "Redis") -> int:
        nonlocal posted_at
        # It loses what it fetches as its recovery ends: tests/regression has the proof.
        if time.perf_counter() - posted_at > _POST_AGAIN_SECONDS:
            asyncio.run(post())
            posted_at = time.perf_counter()
        return int(redis.exists(STOCK_HANDLED))

    posted_at = 0.0
    environment = {
        **arena.environment,
        "STOCK_PARTITIONS": str(arena.settings.topic_partitions),
    }
    folder = arena.servers[0].folder.parent
    worker = Process("stock", ["python", str(STOCK)], environment=environment, folder=folder)
    with _open_redis(arena.settings) as redis:
        redis.delete(STOCK_HANDLED)
        began = time.perf_counter()
        worker.start()
        try:
            _wait(lambda: look(redis), 1)
            seconds = time.perf_counter() - began
            if (found := int(redis.get(STOCK_HANDLED) or 0)) != entries:
                raise TimeoutError(f"stock Faust began with {found:,} of {entries:,} entries")
        finally:
            # In good order: the next one must not wait for the end of its session.
            worker.stop()
    return {"first_ms": seconds * 1000, "entries": entries, "seconds": seconds, "cpu_s": {}}
