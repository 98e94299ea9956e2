"""How long what is told in the background waits for more of its kind.

Nobody waits for it, and what costs Kafka, Redis, MongoDB and the workers is the batch. So when many
come at once, more of them are waited for.
"""

import asyncio
from collections.abc import Callable
from typing import Final

GATHER_SECONDS: Final = 0.02
CROWD: Final = 5
"""So many in that time are taken for the first of thousands, as after a deploy."""
CROWD_SECONDS: Final = 0.18


async def gather(count_waiting: Callable[[], int]) -> None:
    """Return when what waits is to be told: soon, or a little later if it is a crowd."""
    await asyncio.sleep(GATHER_SECONDS)
    if count_waiting() >= CROWD:
        await asyncio.sleep(CROWD_SECONDS)
