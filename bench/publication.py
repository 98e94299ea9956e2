"""Writes what a full run came to into the documentation: tables between markers, and plots."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bench.campaign import RESULTS
from bench.capacity import describe_needs
from bench.plots import draw_bars
from bench.scenarios import (
    CROWD,
    FAULTS,
    GATEWAYS,
    LOAD,
    RESTART,
    SCENARIOS,
    SERVERS,
    STALLED,
    WORKER,
    WORKERS,
    Result,
    Scenario,
    own_cpu_seconds,
    server_cpu_seconds,
)
from bench.table import (
    TITLES,
    Row,
    load_results,
    make_rows,
    median_of,
    results_of,
    say_cell,
    say_number,
)
from dev.processes import ROOT

PAGES: Final = (ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "scaling.md", ROOT / "README.md")
PLOTS: Final = {
    "throughput": (
        "Throughput",
        [
            ("post16", "accepted"),
            ("post64", "accepted"),
            ("max", "delivered"),
            ("direct", "delivered"),
            ("idle", "connected and joined"),
        ],
    ),
    "latency": (
        "From a POST to a client's socket",
        [
            (name, figure)
            for name in ("e2e50", "e2e200", "e2e1000", "fan10x1000", "fan100x200")
            for figure in ("delivery p50", "delivery p99")
        ],
    ),
    "cost": (
        "What it costs",
        [
            ("post64", "CPU a message"),
            ("fan10x1000", "CPU a delivery"),
            ("fan100x200", "CPU a delivery"),
            ("max", "CPU a delivery"),
            ("idle", "gateway's memory a connection"),
            ("idle", "CPU to connect and join"),
        ],
    ),
}
"""File: title, and the figures it shows."""
HIGHLIGHTS: Final = (
    ("post64", "accepted"),
    ("max", "delivered"),
    ("e2e200", "delivery p99"),
    ("fan100x200", "CPU a delivery"),
    ("idle", "gateway's memory a connection"),
)


def publish() -> None:
    """Write tables and plots from the last full run."""
    results = load_results(RESULTS / "results.json")
    rows = list(make_rows(results["runs"]))
    for name, (title, figures) in PLOTS.items():
        if shown := _pick(rows, figures):
            (RESULTS / f"{name}.svg").write_text(
                draw_bars(title, [_drawable(row) for row in shown])
            )
    sections: dict[str, Callable[[], str]] = {
        "machine": lambda: _describe(results),
        "results": lambda: _compare(rows, SCENARIOS, ("hubbub", "python", "node", "echo")),
        "faults": lambda: _compare(rows, FAULTS, ("hubbub", "python")),
        "worker": lambda: "\n\n".join(
            _compare(rows, (scenario,), scenario.contestants)
            for scenario in (WORKER, RESTART, CROWD, STALLED)
        ),
        "capacity": lambda: describe_needs(results["runs"]),
        "cpu": lambda: _share(results["runs"]),
        "highlights": lambda: _compare_rows(_pick(rows, HIGHLIGHTS), ("hubbub", "python", "node")),
    }
    for page in PAGES:
        if page.exists():
            text = page.read_text()
            for name, make in sections.items():
                text = _replace(text, name, make)
            page.write_text(text)


def _drawable(row: Row) -> Row:
    # Where more is better the client's limit is so far out that nothing else would be seen.
    if not row.figure.more_is_better:
        return row
    return replace(row, cells={name: cell for name, cell in row.cells.items() if name != "echo"})


def _replace(text: str, name: str, make: Callable[[], str]) -> str:
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        return text
    made = f"{begin}\n{make()}\n{end}"
    return pattern.sub(lambda _: made, text)


def _pick(rows: Sequence[Row], figures: Sequence[tuple[str, str]]) -> list[Row]:
    known = {(row.scenario.name, row.figure.title): row for row in rows}
    return [known[figure] for figure in figures if figure in known]


def _describe(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    times = sorted(run["at"] for run in results["runs"])
    said = (
        f"{times[0]} to {times[-1]} UTC · {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_gb']} GB · "
        f"Linux {machine['kernel']} · Python {machine['python']}"
    )
    missing = [f"{TITLES[name]}: {why}." for name, why in results["missing"].items()]
    return " ".join([said, *missing])


def _compare(rows: Sequence[Row], scenarios: Sequence[Scenario], names: Sequence[str]) -> str:
    return _compare_rows([row for row in rows if row.scenario in scenarios], names)


def _compare_rows(rows: Sequence[Row], names: Sequence[str]) -> str:
    first, *others = names
    compared = [name for name in others if name != "echo"]
    head = [
        "scenario",
        "figure",
        *(TITLES[name] for name in names),
        *(f"× {TITLES[name]}" for name in compared),
    ]
    lines = [_line(head), _line(["---", "---", *("---:" for _ in head[2:])])]
    shown = None
    for row in rows:
        name = "" if row.scenario is shown else f"**{row.scenario.name}** {row.scenario.title}"
        shown = row.scenario
        ratios = [row.ratio(first, other) for other in compared]
        lines.append(
            _line(
                [
                    name,
                    f"{row.figure.title}, {row.figure.unit}",
                    *(say_cell(row.cells.get(each)) for each in names),
                    *("–" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
                ]
            )
        )
    return "\n".join(lines)


def _share(runs: Sequence[Mapping[str, Any]]) -> str:
    """Whose CPU a message and a delivery are, process by process."""
    head = [
        "scenario", "system", "gateway", "messages worker", "other workers",
        "Kafka", "Redis", "MongoDB", "own, a delivery", "servers, a delivery", "client, cores",
        "machine busy",
    ]  # fmt: skip
    lines = [_line(head), _line(["---", "---", *("---:" for _ in head[2:])])]
    for scenario in SCENARIOS:
        if scenario.name == "idle":
            continue
        for name in ("hubbub", "python", "node"):
            if results := results_of(runs, scenario.name, name):
                cells = [say_number(value) for value in _shares(results)]
                lines.append(_line([scenario.name, TITLES[name], *cells]))
    return "\n".join(lines)


def _shares(results: Sequence[Result]) -> Iterator[float | None]:
    known = (*GATEWAYS, *WORKERS, *SERVERS, LOAD)
    others = tuple({name for result in results for name in result["cpu_s"]} - set(known))
    for names in (GATEWAYS, WORKERS, others, *((server,) for server in SERVERS)):
        yield median_of(results, lambda result, names=names: _per(result, names, "accepted"))
    yield median_of(results, lambda r: _divide(own_cpu_seconds(r), r["delivered"]))
    yield median_of(results, lambda r: _divide(server_cpu_seconds(r), r["delivered"]))
    yield median_of(results, lambda r: r["cpu_s"][LOAD] / r["seconds"])
    yield median_of(results, lambda r: r["machine_busy"])


def _per(result: Result, names: Sequence[str], of: str) -> float | None:
    used = [result["cpu_s"][name] for name in names if name in result["cpu_s"]]
    # In a backlog nothing is accepted while it is worked off: it is delivered.
    count = result[of] or result["delivered"] / max(1, result["connections"])
    return _divide(sum(used), count) if used else None


def _divide(seconds: float, count: float) -> float | None:
    return seconds / count * 1e6 if count else None


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
