"""Waiting for what is about to happen, however slow the machine is."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], seconds: float = 45) -> None:
    """Return when `condition` holds.

    Raises:
        TimeoutError: it does not in time.
    """
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
