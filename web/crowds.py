"""How long those who come wait for more of their kind, when many come at once.

What costs is the trip to Redis, MongoDB or Kafka, not how many travel: what is read for one client
takes the gateway ten times as long alone as among twenty others.
"""

import asyncio
from collections.abc import Callable
from typing import Final

PAUSE_SECONDS: Final = 0.01
"""Between trips for which clients wait. Whoever comes alone does not meet it."""

GATHER_SECONDS: Final = 0.02
"""What is told in the background waits so long: nobody waits for it."""
CROWD: Final = 5
"""So many in that time are taken for the first of thousands, as after a deploy."""
CROWD_SECONDS: Final = 0.18


async def gather(count_waiting: Callable[[], int]) -> None:
    """Return when what waits is to be told: soon, or a little later if it is a crowd."""
    await asyncio.sleep(GATHER_SECONDS)
    if count_waiting() >= CROWD:
        await asyncio.sleep(CROWD_SECONDS)
