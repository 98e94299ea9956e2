"""Medians and ratios of a run."""

from typing import Any

from bench.table import make_rows, say_number


def _run(contestant: str, accepted_per_s: float, client_seconds: float = 0.1) -> dict[str, Any]:
    result = {
        "accepted_per_s": accepted_per_s,
        "accepted": 1,
        "seconds": 1.0,
        "cpu_s": {"load": client_seconds},
    }
    return {"scenario": "post64", "contestant": contestant, "result": result}


def test_rows_when_passes_differ_compare_their_medians() -> None:
    runs = [_run("hubbub", rate) for rate in (90, 100, 900)] + [_run("node", 50)]

    row = next(make_rows(runs))

    assert row.cells["hubbub"].value == 100
    assert row.ratio("hubbub", "node") == 2
    assert row.ratio("hubbub", "python") is None


def test_rows_when_the_client_was_busy_say_so() -> None:
    runs = [_run("hubbub", 100, client_seconds=0.95), _run("node", 50)]

    row = next(make_rows(runs))

    assert row.cells["hubbub"].is_client_bound
    assert not row.cells["node"].is_client_bound


def test_rows_when_a_run_failed_leave_it_out() -> None:
    failed = {"scenario": "post64", "contestant": "node", "result": {"error": "no answer"}}

    row = next(make_rows([_run("hubbub", 100), failed]))

    assert "node" not in row.cells


def test_number_when_it_is_said_keeps_three_digits() -> None:
    assert [say_number(n) for n in (12345.6, 12.345, 1.2345, None)] == [
        "12,346",
        "12.3",
        "1.23",
        "–",
    ]
