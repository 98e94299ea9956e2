"""A load in which something breaks: clients come back by themselves, posters try again."""

import asyncio
import sys
import time
from itertools import pairwise
from typing import Final

from bench.load.modes import Load, say
from bench.load.subscribers import Subscriber
from bench.load.tally import judge

_LOOK_SECONDS: Final = 0.05
_AGAIN_SECONDS: Final = 0.5
"""What is delivered twice comes behind."""


class FaultyLoad(Load):
    """By a timetable, over all channels; the harness breaks something meanwhile, and mends it."""

    async def _fault(self) -> None:
        await self._settle()
        self.window.watch({})  # A process that is killed has no CPU to read.
        returning = asyncio.create_task(self._bring_back())
        timetable = asyncio.create_task(self._post_by_timetable())
        await asyncio.sleep(self.spec.warm_seconds)
        self.window.open()
        broken_at = time.perf_counter()
        say("break")
        await asyncio.sleep(self.spec.seconds)
        # The harness has mended it.
        await asyncio.to_thread(sys.stdin.buffer.readline)
        self.window.close()
        self._is_over = True
        await timetable
        # However long nothing comes: what is late must not pass for lost.
        await self._wait_for(self._have_all_accepted)
        await asyncio.sleep(_AGAIN_SECONDS)
        returning.cancel()
        self.window.values |= {
            "longest_delivery_ms": self._longest_delivery() * 1000,
            "longest_silence_ms": self._longest_silence(broken_at) * 1000,
        }

    async def _bring_back(self) -> None:
        """Let whoever has lost its connection come back, as often as it takes."""
        coming: dict[Subscriber, asyncio.Task[None]] = {}
        while True:
            for subscriber in self.subscribers.all:
                task = coming.get(subscriber)
                if subscriber.is_lost and (task is None or task.done()):
                    coming[subscriber] = asyncio.create_task(subscriber.come_back())
            await asyncio.sleep(_LOOK_SECONDS)

    def _have_all_accepted(self) -> bool:
        clients = self.spec.connections / self.spec.channels
        if self.tally.delivered < len(self.tally.accepted_at) * clients:
            return False
        # What was never answered may be among what was delivered.
        received = [(each.channel, each.chunks) for each in self.subscribers.all]
        return judge(self.tally, received).lost == 0

    def _longest_delivery(self) -> float:
        """Seconds from a post that was accepted to its delivery, at most."""
        tally = self.tally
        return max(
            (
                at - tally.sent_at[message]
                for subscriber in self.subscribers.all
                for at, marks in subscriber.timed or ()
                for message in map(int, marks)
                if message in tally.accepted_at
            ),
            default=0.0,
        )

    def _longest_silence(self, since: float) -> float:
        """Seconds without an accepted post, at most, from `since` on."""
        accepted = sorted(at for at in self.tally.accepted_at.values() if at >= since)
        return max((later - at for at, later in pairwise([since, *accepted])), default=0.0)
