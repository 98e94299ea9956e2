"""The lease: how long a worker may still believe that its partitions are its own."""

import time
from typing import Final

FRACTION: Final = 0.7
"""Of the session timeout; the rest is for what was begun just before."""


class Lease:
    """Renewed by every heartbeat that the group's coordinator answered.

    aiokafka hands out the old batches when a frozen process wakes, and finds out only later that
    its session is over. The clock goes on while a process is stopped and while a machine sleeps.
    """

    def __init__(self, session_timeout_seconds: float) -> None:
        self._seconds = session_timeout_seconds * FRACTION
        self._renewed_at = _now()

    def renew(self, at: float | None = None) -> None:
        """Note that the coordinator knew this worker at `at` (default: now), as `now` tells it."""
        self._renewed_at = max(self._renewed_at, _now() if at is None else at)

    @property
    def now(self) -> float:
        """The lease's clock, in seconds."""
        return _now()

    @property
    def is_held(self) -> bool:
        """Whether the last renewal is recent enough."""
        return _now() - self._renewed_at < self._seconds


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
