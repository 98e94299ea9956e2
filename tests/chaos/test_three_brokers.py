"""Replication 3 and `min.insync.replicas` 2: any one broker may die under load."""

from pathlib import Path

import pytest

from tests.chaos.broker_faults import BROKER_FAULTS
from tests.chaos.report import render
from tests.chaos.run import run_chaos


@pytest.mark.timeout(600)
async def test_leader_and_coordinator_when_killed_under_load_lose_nothing(tmp_path: Path) -> None:
    result = await run_chaos(tmp_path, 7, 30, print, BROKER_FAULTS, has_three_brokers=True)
    print(render(result))
    assert result.tally.details == []
    assert not result.unsettled
    assert {hit.name for hit in result.hits} == {fault.name for fault in BROKER_FAULTS}
    # Posting went on: two brokers of three take what gateways publish, and so all is delivered.
    assert all(hit.recovery_seconds is not None for hit in result.hits)
