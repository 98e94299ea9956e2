"""What the Procfile asks for."""

import json
import re
from pathlib import Path

import pytest

from dev.errors import PlanError
from dev.procfile import make_plan, parse_counts

ROOT = Path(__file__).parents[3]
PROCFILE = "release: migrate\nmessages: work\nweb: serve\nactivity: act\n"


def test_a_plan_has_one_process_of_each_type_and_release_apart() -> None:
    plan = make_plan(PROCFILE)
    assert [slot.name for slot in plan.slots] == ["web.1", "messages.1", "activity.1"]
    assert plan.release is not None
    assert plan.release.command == "migrate"


def test_a_plan_without_release_has_none() -> None:
    assert make_plan("web: serve\n").release is None


def test_gateways_have_the_first_ports_wherever_the_procfile_names_them() -> None:
    plan = make_plan(PROCFILE, {"web": 2, "messages": 2})
    assert [(slot.name, slot.port) for slot in plan.slots] == [
        ("web.1", 5001),
        ("web.2", 5002),
        ("messages.1", 5101),
        ("messages.2", 5102),
        ("activity.1", 5201),
    ]


def test_ports_follow_the_first_port() -> None:
    assert [slot.port for slot in make_plan(PROCFILE, first_port=7000).slots] == [7000, 7100, 7200]


def test_a_count_of_nought_leaves_a_type_out() -> None:
    assert [slot.name for slot in make_plan(PROCFILE, {"web": 0, "activity": 0}).slots] == [
        "messages.1"
    ]


@pytest.mark.parametrize("word", ["web", "web=", "web=-1", "web=x", "web=100", "=2"])
def test_a_word_that_is_no_count_is_refused_by_name(word: str) -> None:
    with pytest.raises(PlanError, match=re.escape(repr(word))):
        parse_counts([word])


@pytest.mark.parametrize("name", ["wbe", "release"])
def test_a_count_of_a_type_that_is_not_scaled_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(PlanError, match="messages, web, activity"):
        make_plan(PROCFILE, parse_counts([f"{name}=2"]))


def test_a_type_that_is_named_twice_is_refused() -> None:
    with pytest.raises(PlanError, match="unique"):
        make_plan("web: a\nweb: b\n")


def test_compose_runs_every_process_type_with_its_command() -> None:
    plan = make_plan((ROOT / "Procfile").read_text())
    commands = {slot.name.removesuffix(".1"): slot.command for slot in (*plan.slots,)}
    assert plan.release is not None
    commands["release"] = plan.release.command
    compose = (ROOT / "compose.yaml").read_text()
    found = re.findall(r"^  (\w+):\n    <<: \*\w+\n    command: (\[.*\])$", compose, re.MULTILINE)
    assert {name: " ".join(json.loads(words)) for name, words in found} == commands
