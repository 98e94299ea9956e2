"""Settlement: batches whose effects are there wait for their acknowledgement, many together."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from app.streaming.attempts import Abandoned, Attempts, Done
from app.streaming.batches import LONGEST_BATCH

SETTLE_SECONDS: Final = 0.25
"""A quarter of the time between two commits: a crash repeats hardly more for it."""


class Settlement:
    """One partition's batches that are done and not acknowledged yet.

    Nobody waits for an acknowledgement, and what must come before it (the changelog's answer, a
    write on a majority) costs for one record what it costs for hundreds. So the batches of a while
    are settled as one, all partitions at the same time: they share the request to Kafka, and the
    barrier. Under load nothing waits: as many records as the longest batch has are settled at once.
    """

    def __init__(
        self,
        attempts: Attempts,
        acknowledge: Callable[[Done], None],
        fail: Callable[[Exception], Awaitable[None]],
    ) -> None:
        self._attempts = attempts
        self._acknowledge = acknowledge
        self._fail = fail
        self._waiting: list[Done] = []
        self._waiting_records = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_due = asyncio.Event()
        self._is_ending = False
        self._has_failed = False
        self._task: asyncio.Task[None] | None = None

    async def add(self, done: Done) -> None:
        """Have a batch settled; return when there is room for another one."""
        if self._has_failed:
            return
        self._waiting.append(done)
        self._waiting_records += len(done.work.received)
        is_full = self._waiting_records >= LONGEST_BATCH
        if is_full:
            self._has_room.clear()
        if is_full or done.work.is_urgent:
            self._is_due.set()
        if self._task is None:
            self._task = asyncio.create_task(self._settle_waiting())
        await self._has_room.wait()

    async def end(self) -> None:
        """Settle what waits, now, and return when it is done or has failed."""
        self._is_ending = True
        self._is_due.set()
        if self._task is not None:
            await self._task

    def cancel(self) -> None:
        """Leave what is not settled unacknowledged."""
        if self._task is not None:
            self._task.cancel()

    async def _settle_waiting(self) -> None:
        try:
            while self._waiting:
                await self._turn()
                taken, self._waiting, self._waiting_records = self._waiting, [], 0
                self._has_room.set()
                if not self._is_ending:
                    self._is_due.clear()
                await self._attempts.settle(taken)
                for done in taken:
                    self._acknowledge(done)
            self._task = None
        except Abandoned:
            self._give_up()
        except Exception as error:  # noqa: BLE001 - the lane may be waiting for its next batch
            self._give_up()
            await self._fail(error)

    def _give_up(self) -> None:
        self._has_failed = True
        self._has_room.set()

    async def _turn(self) -> None:
        now = asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS - now % SETTLE_SECONDS):
                await self._is_due.wait()
