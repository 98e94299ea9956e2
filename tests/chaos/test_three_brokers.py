"""Replication 3 and `min.insync.replicas` 2: any one broker may die under load."""

from pathlib import Path

import pytest

from tests.chaos.broker_faults import BROKER_FAULTS
from tests.chaos.report import render
from tests.chaos.run import run_chaos


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_leader_and_coordinator_when_killed_under_load_lose_nothing(tmp_path: Path) -> None:
    """What is posted while the broker is down is delivered while it is down (`BROKER_FAULTS`)."""
    result = await run_chaos(tmp_path, 7, None, print, BROKER_FAULTS, has_three_brokers=True)
    print(render(result))
    assert result.tally.details == []
    assert not result.unsettled
    assert {hit.name for hit in result.hits} == {fault.name for fault in BROKER_FAULTS}
