"""The oracle is worth something: switch any mechanism of the guarantee off, and it complains."""

from collections.abc import Iterator

import pytest

from tests.chaos.sabotage import SABOTAGES
from tests.chaos.scenarios import COMPLAINTS, SCENARIOS
from tests.chaos.stage import Stage, running_scene
from tests.support.stack import running_stack

pytestmark = pytest.mark.timeout(300)

ROUNDS = 6


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_stack(tmp_path_factory.mktemp("sabotage")) as stack:
        stage = Stage(stack)
        yield stage
        stage.kill_all()


def test_every_sabotage_has_a_scenario() -> None:
    assert SCENARIOS.keys() == SABOTAGES.keys() == COMPLAINTS.keys()


@pytest.mark.parametrize("mechanism", SCENARIOS)
async def test_oracle_when_mechanism_is_on_is_content(stage: Stage, mechanism: str) -> None:
    async with running_scene(stage, f"{mechanism}-on", "") as scene:
        tally = await SCENARIOS[mechanism](scene)
    assert tally.details == []


@pytest.mark.parametrize("mechanism", SCENARIOS)
async def test_oracle_when_mechanism_is_off_complains(stage: Stage, mechanism: str) -> None:
    # A race is provoked, and on a busy machine it may come out well.
    for round_ in range(ROUNDS):
        async with running_scene(stage, f"{mechanism}-off{round_}", mechanism) as scene:
            tally = await SCENARIOS[mechanism](scene)
        if tally.complaints[COMPLAINTS[mechanism]]:
            return
    pytest.fail(f"the oracle noticed nothing in {ROUNDS} rounds: {tally.details}")
