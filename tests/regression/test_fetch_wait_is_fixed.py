"""A long poll waits for 1.5 s: a backlogged partition stands behind drained ones so long."""

from typing import Any

from tests.support.flavours import Flavour


async def test_long_poll_is_short_enough_for_the_partitions_behind_it(
    flavour: type[Flavour], faust_app: Any
) -> None:
    thread: Any = faust_app.consumer._thread
    consumer = thread._create_worker_consumer(faust_app.transport)
    consumer._closed = True
    assert consumer._fetch_max_wait_ms <= 100


async def test_idle_consumer_does_not_leave_its_group_for_ever(
    flavour: type[Flavour], faust_app: Any
) -> None:
    """A dependency away for longer than this would end the worker's membership."""
    assert faust_app.conf.broker_max_poll_interval > 7 * 24 * 3600
