"""What hits the servers and the processes: each fault is held for a while, and lifted."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from dev.child import Child
from dev.servers import Server
from tests.chaos.cluster import SESSION_SECONDS, Cluster
from tests.chaos.follower import Follower
from tests.chaos.posters import Poster

BURST: Final = "burst"
"""The channel of the slow client."""
BURST_LENGTH: Final = 450
DROPPED: Final = 50
BURST_PADDING: Final = " " + 3900 * "🌊"
"""7 MB: what the kernel keeps for a client that does not read, and what the gateway may keep."""


@dataclass(frozen=True, slots=True)
class Target:
    """What faults are done to."""

    cluster: Cluster
    slow: Follower
    writer: Poster
    rng: random.Random
    measure_delivery: Callable[[], Awaitable[float | None]]
    """Sends messages and waits until they are everywhere; the seconds, None: too long."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong, until `hit` returns. Those on one `place` do not overlap."""

    name: str
    place: str
    hit: Callable[[Target], Awaitable[None]]


async def _freeze(child: Child, seconds: float) -> None:
    child.freeze()
    try:
        await asyncio.sleep(seconds)
    finally:
        if child.is_running:
            child.thaw()


def _kill_process(name: str) -> Fault:
    async def hit(target: Target) -> None:
        target.cluster.processes[name].kill()

    return Fault(f"{name} killed", name, hit)


def _freeze_process(name: str, seconds: float) -> Fault:
    async def hit(target: Target) -> None:
        process = target.cluster.processes[name]
        if process.is_running:
            await _freeze(process, seconds)

    return Fault(f"{name} frozen", name, hit)


def _server_of(target: Target, kind: str) -> Server:
    return next(server for server in target.cluster.stack.servers if server.kind == kind)


def _kill_server(kind: str, down_seconds: float) -> Fault:
    async def hit(target: Target) -> None:
        server = _server_of(target, kind)
        server.kill()
        await asyncio.sleep(down_seconds * target.rng.random())
        await target.cluster.bring_back(server)

    return Fault(f"{kind} killed", kind, hit)


def _restart_server(kind: str) -> Fault:
    async def hit(target: Target) -> None:
        server = _server_of(target, kind)
        server.terminate()
        with suppress(Exception):
            await asyncio.to_thread(server.wait, 20)
        server.kill()
        await target.cluster.bring_back(server)

    return Fault(f"{kind} restarted", kind, hit)


def _freeze_server(kind: str, seconds: float) -> Fault:
    async def hit(target: Target) -> None:
        await _freeze(_server_of(target, kind), seconds)

    return Fault(f"{kind} frozen", kind, hit)


async def _roll_redis_back(target: Target) -> None:
    target.cluster.copy_redis()
    await asyncio.sleep(2)
    await target.cluster.roll_redis_back()


async def _flush_redis(target: Target) -> None:
    client = redis.asyncio.Redis(host="127.0.0.1", port=target.cluster.stack.redis.port)
    try:
        with suppress(RedisError, OSError):
            await client.flushall()
    finally:
        await client.aclose()


async def _drop_published(target: Target) -> None:
    proxy = target.cluster.proxy
    proxy.drop_share(0.5, target.rng)
    before, deadline = proxy.dropped_count, time.monotonic() + 20
    try:
        # Nothing is published as long as something else is down.
        while proxy.dropped_count < before + DROPPED and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
    finally:
        proxy.drop_share(0, target.rng)


async def _stall_client(target: Target) -> None:
    target.slow.may_read.clear()
    try:
        burst = [
            target.writer.begin(_send(target.writer, BURST, BURST_PADDING))
            for _ in range(BURST_LENGTH)
        ]
        await asyncio.wait(burst, timeout=30)
        await asyncio.sleep(1)
    finally:
        target.slow.may_read.set()


async def _send(writer: Poster, channel_id: str, padding: str) -> None:
    await writer.send(channel_id, padding)


async def _roll_all(target: Target) -> None:
    await target.cluster.roll()


async def _roll_two(target: Target) -> None:
    await target.cluster.roll(target.rng.sample(list(target.cluster.processes), 2))


FAULTS: Final[Sequence[Fault]] = (
    _kill_process("web.1"),
    _freeze_process("web.2", 4),
    _kill_process("messages.1"),
    _freeze_process("messages.2", SESSION_SECONDS + 3),
    _kill_process("reactions.1"),
    _freeze_process("reactions.1", SESSION_SECONDS + 3),
    _kill_process("activity.1"),
    _freeze_process("activity.1", 3),
    _kill_process("notifications.1"),
    _freeze_process("notifications.1", 3),
    _kill_server("kafka", 4),
    _freeze_server("kafka", 4),
    _restart_server("kafka"),
    _kill_server("redis", 3),
    _freeze_server("redis", 3),
    _restart_server("redis"),
    Fault("redis rolled back", "redis", _roll_redis_back),
    Fault("redis flushed", "redis", _flush_redis),
    _kill_server("mongodb", 3),
    _freeze_server("mongodb", 4),
    _restart_server("mongodb"),
    Fault("pub/sub messages dropped", "proxy", _drop_published),
    Fault("slow client", "client", _stall_client),
    Fault("two processes restarted", "rolling", _roll_two),
)

ROLL: Final = Fault("every process restarted", "rolling", _roll_all)
"""A deployment."""
