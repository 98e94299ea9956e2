"""Which scenarios a campaign runs."""

import pytest

from bench.campaign import FULL, QUICK, Campaign
from bench.scenarios import NOT_QUICK, SCENARIOS, WORKER, Scenario
from bench.table import EVERY


def test_full_campaign_when_nothing_is_asked_for_runs_every_scenario() -> None:
    assert all(map(Campaign(FULL).is_wanted, EVERY))


def test_quick_campaign_when_nothing_is_asked_for_leaves_out_what_takes_long() -> None:
    campaign = Campaign(QUICK)
    assert all(map(campaign.is_wanted, (*SCENARIOS, WORKER)))
    assert not any(map(campaign.is_wanted, NOT_QUICK))


@pytest.mark.parametrize("scenario", NOT_QUICK, ids=lambda scenario: scenario.name)
def test_quick_campaign_when_a_long_scenario_is_asked_for_runs_that_alone(
    scenario: Scenario,
) -> None:
    wanted = [each for each in EVERY if Campaign(QUICK, (scenario.name,)).is_wanted(each)]
    assert wanted == [scenario]
