"""A short run of `make chaos`."""

from pathlib import Path

import pytest

from tests.chaos.report import render
from tests.chaos.run import run_chaos


@pytest.mark.timeout(600)
async def test_nothing_is_lost_doubled_or_out_of_order_when_everything_fails(
    tmp_path: Path,
) -> None:
    result = await run_chaos(tmp_path, 5, 45, print)
    print(render(result))
    assert result.tally.details == []
    assert not result.unsettled
