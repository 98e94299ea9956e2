"""A counting worker whose commits never succeed, with a watchdog of little patience."""

import sys
from functools import partial

from app.streaming import worker
from app.streaming.consumer_thread import ConsumerThread
from app.streaming.watchdog import watch_commits
from tests.support import counting_worker


async def fail(*_: object) -> bool:
    """Commit nothing."""
    return False


if __name__ == "__main__":
    setattr(ConsumerThread, "_commit", fail)  # noqa: B010 - a fault, not an override
    impatient = partial(watch_commits, patience_seconds=2, look_seconds=0.5)
    setattr(worker, "watch_commits", impatient)  # noqa: B010 - as above
    sys.exit(counting_worker.main())
