"""A step of recovery that times out is taken for a stop: the worker never gets ready again."""

import asyncio
from typing import Any

from faust.tables.recovery import ServiceStopped


async def test_recovery_step_that_outlasts_its_time_is_waited_for(faust_app: Any) -> None:
    recovery: Any = faust_app.tables.recovery
    is_done = False

    async def ask_kafka() -> None:
        nonlocal is_done
        await asyncio.sleep(1)
        is_done = True

    try:
        await recovery._wait(ask_kafka(), timeout=0.1)
    except ServiceStopped:
        assert recovery.should_stop
    assert is_done
