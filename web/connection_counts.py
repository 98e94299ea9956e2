"""How many connections this gateway has, by channel and by user, for all gateways to read.

A gateway's counts are believed as long as its lease lives. A lease that has lapsed is never taken
up again: others may have taken this gateway for dead, so it goes on under a new id.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.keys import (
    COUNT_TTL_SECONDS,
    GATEWAY_LEASE_SECONDS,
    connection_counts,
    gateway_lease,
    online,
)
from web.crowds import gather

log = logging.getLogger(__name__)

LEASE_SECONDS: Final = GATEWAY_LEASE_SECONDS
RENEW_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 1.0

_KEYS_A_TRIP: Final = 500
"""Redis does nothing else meanwhile: 1 ms."""

_WRITE: Final = (Path(__file__).parent / "count_connections.lua").read_text()

_ROUND: Final = 20
"""In so many renewals, 200 s, every count is written again, long before it would be cleared."""

_OUTAGES: Final = (RedisError, OSError, TimeoutError)


class ConnectionCounts:
    """Keeps this gateway's lease and its counts in Redis; `lapsed` is called with a new id."""

    def __init__(self, redis: Redis, gateway_id: str, lapsed: Callable[[str], None]) -> None:
        self.gateway_id = gateway_id
        self._redis = redis
        self._script = redis.register_script(_WRITE)
        self._lapsed = lapsed
        self._counts: dict[str, int] = {}
        self._changed: set[str] = set()
        self._to_refresh: list[str] = []
        self._has_lease = False
        self._renew_at = 0.0
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Hold the lease and write counts from now on."""
        self._running = asyncio.create_task(self._run())

    async def stop(self, timeout_seconds: float) -> None:
        """Write what has changed, and give the lease back."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        with suppress(*_OUTAGES):
            async with asyncio.timeout(timeout_seconds):
                await self._write()
                await self._redis.unlink(gateway_lease(self.gateway_id))

    def add(self, key: str, count: int) -> None:
        """Count so many connections more (or less) under a key; returns at once."""
        left = self._counts.get(key, 0) + count
        if left:
            self._counts[key] = left
        else:
            self._counts.pop(key, None)
        self._changed.add(key)
        self._wake.set()

    async def _run(self) -> None:
        has_failed = False
        while True:
            try:
                if time.monotonic() >= self._renew_at:
                    await self._renew()
                await self._write()
                has_failed = False
            except _OUTAGES as error:
                if not has_failed:
                    log.warning("counts_not_written", extra={"error": type(error).__name__})
                has_failed = True
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(max(self._renew_at - time.monotonic(), 0)):
                    await self._wake.wait()
            await gather(lambda: len(self._changed))

    async def _renew(self) -> None:
        key = gateway_lease(self.gateway_id)
        held = await self._redis.set(key, 1, ex=LEASE_SECONDS, get=True)
        if held is None and self._has_lease:
            await self._redis.unlink(key)
            self.gateway_id = secrets.token_hex(8)
            log.warning("gateway_lease_lapsed", extra={"gateway": self.gateway_id})
            await self._redis.set(gateway_lease(self.gateway_id), 1, ex=LEASE_SECONDS)
            self._changed |= self._counts.keys()
            self._lapsed(self.gateway_id)
        self._has_lease = True
        self._renew_at = time.monotonic() + RENEW_SECONDS
        self._refresh()

    def _refresh(self) -> None:
        if not self._to_refresh:
            self._to_refresh = list(self._counts)
            self._share = len(self._to_refresh) // _ROUND + 1
        self._changed.update(self._to_refresh[: self._share])
        del self._to_refresh[: self._share]

    async def _write(self) -> None:
        # What changes meanwhile waits for more of its kind: the trip is what costs.
        self._wake.clear()
        changed, self._changed = list(self._changed), set()
        for start in range(0, len(changed), _KEYS_A_TRIP):
            try:
                await self._write_some(changed[start : start + _KEYS_A_TRIP])
            except BaseException:
                self._changed.update(changed[start:])
                raise

    async def _write_some(self, keys: Sequence[str]) -> None:
        counts = [self._counts.get(key, 0) for key in keys]
        await self._script(keys=keys, args=[self.gateway_id, COUNT_TTL_SECONDS, *counts])


async def count_connections(redis: Redis, channel_id: str) -> int:
    """Return a channel's connections, over all gateways that live."""
    return (await _sum(redis, [connection_counts(channel_id)]))[0]


async def find_online(redis: Redis, user_ids: Sequence[str]) -> list[bool]:
    """Return of each user whether a living gateway has a connection of theirs."""
    return [count > 0 for count in await _sum(redis, [online(user_id) for user_id in user_ids])]


async def _sum(redis: Redis, keys: Sequence[str]) -> list[int]:
    async with redis.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hgetall(key)
        hashes = await pipeline.execute()
    gateways = sorted({gateway for counts in hashes for gateway in counts})
    leases = (
        await redis.mget([gateway_lease(gateway.decode()) for gateway in gateways])
        if gateways
        else []
    )
    living = {gateway for gateway, lease in zip(gateways, leases, strict=True) if lease is not None}
    return [
        sum(int(count) for gateway, count in counts.items() if gateway in living)
        for counts in hashes
    ]
