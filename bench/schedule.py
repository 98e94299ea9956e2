"""The order of a whole run: every scenario, its contestants by turns, as many times as told."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from bench.arena import Arena, open_arena
from bench.campaign import Campaign
from bench.contestants import REFERENCES, Contestant, Hubbub, NodePeer, install
from bench.faults import break_and_mend
from bench.scenarios import FAULTS, SCENARIOS, STALLED, Scenario
from bench.worker_runs import run_workers


def run_all(campaign: Campaign) -> None:
    """Make all runs that are wanted.

    Raises:
        DevError: a server or a process does not start.
    """
    install()
    # The servers end with the thread that started them: this one.
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubbub-bench-")))
        arena = stack.enter_context(open_arena(folder))
        contestants = _start_all(campaign, stack, arena, folder)
        for scenario in SCENARIOS:
            if campaign.is_wanted(scenario):
                _run_loads(campaign, arena, scenario, contestants)
        for scenario in FAULTS:
            if campaign.is_wanted(scenario):
                _run_faults(campaign, arena, scenario, contestants)
        hubbub = contestants["hubbub"]
        for name in [name for name in contestants if name != "hubbub"]:
            contestants.pop(name).stop()
        assert isinstance(hubbub, Hubbub)
        if campaign.is_wanted(STALLED):
            _run_stalled(campaign, arena, hubbub)
        run_workers(campaign, arena, hubbub)


def _start_all(
    campaign: Campaign, stack: ExitStack, arena: Arena, folder: Path
) -> dict[str, Contestant]:
    contestants: dict[str, Contestant] = {}
    kinds: tuple[type[Contestant], ...] = (Hubbub, *REFERENCES)
    loads = (*SCENARIOS, *FAULTS)
    wanted = {name for each in loads if campaign.is_wanted(each) for name in each.contestants}
    for kind in kinds:
        if campaign.size.is_quick and kind is NodePeer:
            continue  # One reference is enough to see that everything runs.
        if why := kind.missing():
            campaign.missing[kind.name] = why
            continue
        if kind is not Hubbub and kind.name not in wanted:
            continue
        contestant = kind(arena.environment, folder)
        stack.callback(contestant.stop)
        contestant.start()
        contestants[kind.name] = contestant
    for contestant in contestants.values():
        # Its code and the servers' get warm.
        campaign.load(arena, contestant, {"mode": "closed", "seconds": 1.0})
    return contestants


def _load_of(campaign: Campaign, scenario: Scenario) -> Mapping[str, Any]:
    return {**scenario.load, **(scenario.quick_load if campaign.size.is_quick else {})}


def _run_loads(
    campaign: Campaign, arena: Arena, scenario: Scenario, contestants: Mapping[str, Contestant]
) -> None:
    wanted = [contestants[name] for name in scenario.contestants if name in contestants]
    load = dict(_load_of(campaign, scenario))
    for number in campaign.numbers():
        for contestant in wanted:
            if number and contestant.name in scenario.once:
                continue
            if load["mode"] == "idle":
                contestant.restart()
            if load["mode"] == "backlog":
                load["messages"] = int(contestant.backlog * campaign.size.backlog_share)
            run = partial(campaign.load, arena, contestant, dict(load))
            campaign.record(scenario, contestant.name, number, run)


def _run_faults(
    campaign: Campaign, arena: Arena, scenario: Scenario, contestants: Mapping[str, Contestant]
) -> None:
    load = dict(_load_of(campaign, scenario))
    frozen_seconds = campaign.size.frozen_seconds
    for name in scenario.contestants:
        contestant = contestants[name]
        if len(contestant.pids) < len(contestant.processes):
            contestant.restart()  # It has not outlived the fault before.
        fault = partial(break_and_mend, scenario.name, arena, contestant, frozen_seconds)
        run = partial(campaign.load, arena, contestant, load, fault)
        campaign.record(scenario, name, 0, run)


def _run_stalled(campaign: Campaign, arena: Arena, hubbub: Hubbub) -> None:
    load = _load_of(campaign, STALLED)
    for number in campaign.numbers():
        for name in STALLED.contestants:
            own = {**load, "is_stalled": name == "stalled"}
            campaign.record(STALLED, name, number, partial(campaign.load, arena, hubbub, own))
