"""Every process is restarted, one after the other, while people write."""

from pathlib import Path

import pytest

from tests.chaos.faults import ROLL
from tests.chaos.report import render
from tests.chaos.run import run_chaos


@pytest.mark.soak
@pytest.mark.timeout(400)
async def test_rolling_restart_of_every_process_under_load_loses_nothing(tmp_path: Path) -> None:
    result = await run_chaos(tmp_path, 11, None, print, [ROLL])
    print(render(result))
    assert result.tally.details == []
    assert not result.unsettled
    # In good order: none had to be killed, and none was started again by its supervisor.
    assert result.restarts == {}
