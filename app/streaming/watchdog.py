"""The commit watchdog: ends a worker whose acknowledged records are never committed.

Seen after Kafka was killed and came back: consumption resumed, commits did not.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from faust.types import TP

from app.errors import HubbubError

PATIENCE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 2.0


class CommitsStalled(HubbubError):  # noqa: N818 - it is what happened
    """Kafka answers, and yet nothing of what was acknowledged gets committed."""


async def watch_commits(
    behind: Callable[[], dict[TP, int | None]],
    kafka_answers: Callable[[], Awaitable[bool]],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    look_seconds: float = _LOOK_SECONDS,
) -> None:
    """Watch for ever.

    `behind` returns the partitions that have something to commit, each with its committed offset.

    Raises:
        CommitsStalled: such a partition's committed offset stood still for `patience_seconds`,
            through all of which Kafka answered.
    """
    still_since: dict[TP, tuple[int | None, float]] = {}
    while True:
        await asyncio.sleep(look_seconds)
        now, partitions = time.monotonic(), behind()
        if partitions and not await kafka_answers():
            partitions = {}  # An outage is no stall.
        still_since = {
            tp: still_since[tp]
            if tp in still_since and still_since[tp][0] == committed
            else (committed, now)
            for tp, committed in partitions.items()
        }
        for tp, (committed, since) in still_since.items():
            if now - since > patience_seconds:
                raise CommitsStalled(f"{tp.topic}:{tp.partition} is still at {committed}")
