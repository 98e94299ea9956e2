"""Medians of the passes, and ratios: what a run came to, as rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.scenarios import (
    CROWD,
    FAULTS,
    RESTART,
    SCENARIOS,
    STALLED,
    WORKER,
    Figure,
    Scenario,
    is_client_bound,
)

EVERY: Final = (*SCENARIOS, *FAULTS, WORKER, RESTART, CROWD, STALLED)
BY_NAME: Final = {scenario.name: scenario for scenario in EVERY}
TITLES: Final = {
    "hubbub": "Hubbub", "python": "python-socketio", "node": "Node", "echo": "client's limit",
    "plain": "plain loop", "empty": "empty table", "full": "full table",
    "replay": "full table, Redis empty", "stock": "stock Faust, a fifth of the entries",
    "many": "many members", "two": "2 members",
    "stalled": "it stalls", "reading": "it reads",
}  # fmt: skip
Runs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A contestant's median, the extremes of its passes, and whether the client decided it."""

    value: float
    least: float
    most: float
    is_client_bound: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a scenario, contestant by contestant."""

    scenario: Scenario
    figure: Figure
    cells: Mapping[str, Cell]

    def ratio(self, name: str, reference: str) -> float | None:
        """How many times `reference`'s value `name` has."""
        own, other = self.cells.get(name), self.cells.get(reference)
        return own.value / other.value if own and other and other.value else None


def load_results(file: Path) -> dict[str, Any]:
    """Read a run's results."""
    results: dict[str, Any] = json.loads(file.read_text())
    return results


def results_of(runs: Runs, scenario: str, contestant: str) -> list[Mapping[str, Any]]:
    """Return the results of one contestant's passes, without those that failed."""
    return [
        run["result"]
        for run in runs
        if run["scenario"] == scenario
        and run["contestant"] == contestant
        and "error" not in run["result"]
    ]


def make_rows(runs: Runs) -> Iterator[Row]:
    """Return every figure of every scenario that was run."""
    for scenario in EVERY:
        for figure in scenario.figures:
            cells = {}
            for name in scenario.contestants:
                results = results_of(runs, scenario.name, name)
                values = [v for result in results if (v := figure.read(result)) is not None]
                if values:
                    bound = sum(map(is_client_bound, results)) * 2 > len(results)
                    cells[name] = Cell(median(values), min(values), max(values), bound)
            if cells:
                yield Row(scenario, figure, cells)


def median_of(results: Sequence[Mapping[str, Any]], read: Any) -> float | None:
    """Return the median of what `read` finds in results; None if it finds nothing."""
    values = [value for result in results if (value := read(result)) is not None]
    return median(values) if values else None


def say_number(value: float | None) -> str:
    """Three digits that matter, thousands apart."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def say_cell(cell: Cell | None) -> str:
    """A median; `*` marks one that the load client decided."""
    if cell is None:
        return "–"
    return say_number(cell.value) + ("*" if cell.is_client_bound else "")


def print_table(results: Mapping[str, Any]) -> None:
    """Print medians and Hubbub's ratios to each reference."""
    for row in make_rows(results["runs"]):
        first, *others = row.scenario.contestants
        said = [f"{TITLES[name]} {say_cell(row.cells.get(name))}" for name in (first, *others)]
        ratios = [
            f"{ratio:.2f} × {TITLES[name]}"
            for name in others
            if (ratio := row.ratio(first, name)) is not None
        ]
        head = f"{row.scenario.name:14} {row.figure.title} ({row.figure.unit})"
        print(f"{head:45} {' · '.join(said)}   [{', '.join(ratios)}]")
