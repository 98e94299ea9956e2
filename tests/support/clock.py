"""The time of an event loop, which passes when a test says so."""

import asyncio
from typing import Final

import pytest

_TURNS: Final = 10
"""So many turns of the loop end what one timer has begun."""


class Clock:
    """Stands in for the time of the loop that runs; `now` in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)

    async def advance(self, seconds: float = 0) -> None:
        """Let what is under way come to its timers, and what is then due be done."""
        await self._turn()
        self.now += seconds
        await self._turn()

    async def _turn(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
