"""What a view of the chaos run's clients complains of."""

from typing import Any

import pytest

from tests.chaos.tally import Tally
from tests.chaos.view import View


def message(number: int, rev: int = 1) -> dict[str, Any]:
    return {"id": f"m{number}", "number": number, "rev": rev}


def event(seq: int, number: int, data: dict[str, Any], kind: str = "message") -> dict[str, Any]:
    return {"type": kind, "seq": seq, "cursor": f"aaaaaaaa.{seq}.{number}.0", "data": data}


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def view(tally: Tally) -> View:
    view = View("client", "c", tally)
    view.begin({"cursor": "aaaaaaaa.1.1.0"}, None)
    view.end_reload(view.begin_reload(), [message(1)])
    return view


def test_events_that_follow_each_other_are_right(view: View, tally: Tally) -> None:
    view.event(event(2, 2, message(2)))
    view.event(event(3, 2, message(1, rev=2), "message_updated"))
    assert tally.is_clean
    assert view.alive.keys() == {"m1", "m2"}
    assert view.messages["m1"].rev == 2


def test_event_that_leaves_a_seq_out_is_a_gap(view: View, tally: Tally) -> None:
    view.event(event(3, 2, message(2)))
    assert tally.complaints == {"gap": 1}


def test_event_that_leaves_a_number_out_is_a_gap(view: View, tally: Tally) -> None:
    view.event(event(2, 3, message(3)))
    assert tally.complaints == {"gap": 1}


def test_event_that_comes_again_is_doubled(view: View, tally: Tally) -> None:
    view.event(event(2, 2, message(2)))
    view.event(event(2, 2, message(2)))
    assert tally.complaints == {"doubled": 1}


def test_message_under_another_seq_is_doubled(view: View, tally: Tally) -> None:
    view.event(event(2, 2, message(2)))
    view.event(event(3, 2, message(2)))
    assert tally.complaints == {"doubled": 1}


def test_resume_from_elsewhere_is_a_gap(view: View, tally: Tally) -> None:
    view.begin({"cursor": "aaaaaaaa.2.2.0", "recovered": "log"}, "aaaaaaaa.1.1.0")
    assert tally.complaints == {"gap": 1}


def test_history_that_leaves_a_message_out_is_a_gap(view: View, tally: Tally) -> None:
    view.begin({"cursor": "aaaaaaaa.1.1.0", "recovered": "history"}, "aaaaaaaa.1.1.0")
    view.history({"messages": [message(3)], "more": False, "cursor": "bbbbbbbb.1.3.0"})
    assert tally.complaints == {"gap": 1}


def test_event_before_history_is_complete_is_out_of_order(view: View, tally: Tally) -> None:
    view.begin({"cursor": "aaaaaaaa.1.1.0", "recovered": "history"}, "aaaaaaaa.1.1.0")
    view.event(event(2, 2, message(2)))
    assert tally.complaints == {"out_of_order": 1}


def test_resync_reloads_and_forgets_what_is_gone(view: View, tally: Tally) -> None:
    view.resync({"cursor": "bbbbbbbb.0.2.0"})
    assert view.wants_reload
    view.end_reload(view.begin_reload(), [message(2)])
    assert view.alive.keys() == {"m2"}
    assert tally.is_clean
