"""When Kafka is asked for records, and to wait for how long: seldom asked where nothing comes.

Replaces a method of aiokafka 0.14.0: the fetcher's `_get_actions_per_node`.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher

BUSY_WAIT_MS: Final = 100
"""While a partition is left out of a fetch, since what was fetched of it is not taken yet: so long
it waits behind the long poll of the others. Faust fixes 1,500."""

QUIET_WAIT_MS: Final = 500
"""While none is: whatever comes ends the wait."""

TAKE_SECONDS: Final = 0.005
"""What who waits for records gets to take them, once told that they are there."""

SETTLED_SECONDS: Final = 5.0
"""Since the last assignment or seek; what else is asked of a broker waits behind a fetch."""


def wait_long_when_quiet(
    fetcher: Fetcher, is_source: Callable[[TopicPartition], bool], count_seeks: Callable[[], int]
) -> None:
    """Have the broker wait for longer while nothing is left out of a fetch and nothing is sought,
    and have nothing fetched before what came is taken.

    `is_source` tells partitions whose records are taken from those that only a recovery reads.
    """
    list_actions = fetcher._get_actions_per_node
    # What it waits for wakes it; stock looks five times a second all the same.
    fetcher._fetcher_timeout = 2 * QUIET_WAIT_MS / 1000
    place, since = (None, -1), 0.0

    def list_actions_patiently(assignment: Any) -> Any:
        nonlocal place, since
        if any(waiter.done() for waiter in fetcher._fetch_waiters):
            # Who was told has his turn next. Stock looks at all partitions before it, finds that
            # what came is in the way, and looks at all of them again when it is taken.
            return [], {}, TAKE_SECONDS, False, []
        if place != (assignment, count_seeks()):
            place, since = (assignment, count_seeks()), time.monotonic()
        is_settled = time.monotonic() - since > SETTLED_SECONDS
        is_quiet = is_settled and not any(map(is_source, fetcher._records))
        fetcher._fetch_max_wait_ms = QUIET_WAIT_MS if is_quiet else BUSY_WAIT_MS
        return list_actions(assignment)

    fetcher._get_actions_per_node = list_actions_patiently
