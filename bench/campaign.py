"""A campaign: its size, the runs that were made in it, and how one is made and kept."""

import json
import os
import platform
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.arena import Arena
from bench.contestants import BENCH, Contestant
from bench.scenarios import NOT_QUICK, Scenario
from dev.errors import DevError
from dev.processes import ROOT

RESULTS: Final = BENCH / "results"
_RUN_SECONDS: Final = 150.0


class RunError(Exception):
    """A run that came to no result."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large the run is."""

    name: str
    passes: int
    seconds: float
    warm_seconds: float
    backlog_share: float
    worker_backlog: int
    table_entries: int
    stock_entries: int
    """Of the table of stock Faust, which takes as long for a fifth."""
    crowd: int
    frozen_seconds: float
    """How long a server stands still."""
    is_quick: bool


FULL: Final = Size(
    "full", 3, 2.5, 0.5, 1.0, 100_000, 1_000_000, 200_000, 100_000, 10.0, is_quick=False
)
QUICK: Final = Size("quick", 1, 1.0, 0.5, 0.2, 10_000, 50_000, 10_000, 20_000, 2.0, is_quick=True)


@dataclass(slots=True)
class Campaign:
    """The runs that have been made, and where they are kept."""

    size: Size
    only: Sequence[str] = ()
    passes: int | None = None
    missing: dict[str, str] = field(default_factory=dict)
    """References that cannot run here, and why."""
    runs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """The results of the full run are kept; the quick run's are only looked at."""
        return RESULTS / ("results.json" if not self.size.is_quick else "quick.json")

    def is_wanted(self, scenario: Scenario) -> bool:
        """Whether this scenario was asked for; unasked a quick run leaves some out."""
        if self.only:
            return scenario.name in self.only
        return not (self.size.is_quick and scenario in NOT_QUICK)

    def numbers(self) -> range:
        """The numbers of a scenario's passes."""
        return range(self.passes or self.size.passes)

    def record(
        self, scenario: Scenario, name: str, number: int, run: Callable[[], dict[str, Any]]
    ) -> None:
        """Make a run, keep its result, and say it."""
        began = time.perf_counter()
        try:
            result = run()
        except (RunError, TimeoutError) as error:
            result = {"error": str(error)}
        took = time.perf_counter() - began
        at = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        self.runs.append(
            {
                "scenario": scenario.name,
                "contestant": name,
                "pass": number,
                "at": at,
                "took_seconds": round(took, 1),
                "result": result,
            }
        )
        self.save()
        said = result.get("error") or "  ".join(_say(scenario, result))
        print(f"{scenario.name:14} {name:7} {number + 1}  {said}  ({took:.1f} s)", flush=True)

    def load(
        self,
        arena: Arena,
        contestant: Contestant,
        load: dict[str, Any],
        fault: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        """Put a contestant under a load; return what the client measured.

        `fault` is called when the client says that it is time, in the mode of that name.

        Raises:
            RunError: the client came to no result.
        """
        is_backlog = load["mode"] == "backlog"
        if is_backlog:
            contestant.stop_consumer()
        spec = {
            "warm_seconds": self.size.warm_seconds,
            "seconds": self.size.seconds,
            "prefix": f"c{secrets.token_hex(3)}",
            **load,
            "dialect": contestant.dialect,
            "port": contestant.port,
            "pids": {**contestant.pids, **arena.pids},
        }
        try:
            result = _run_client(spec, arena, contestant, fault)
        except RunError:
            if is_backlog:
                contestant.start_consumer()
            raise
        return {**result, "connections": spec.get("connections", 1)}

    def save(self) -> None:
        """Write what there is; of scenarios that a full run leaves out the last runs stay."""
        RESULTS.mkdir(exist_ok=True)
        run_here = {run["scenario"] for run in self.runs}
        is_added = self.file.exists() and not self.size.is_quick
        earlier = json.loads(self.file.read_text())["runs"] if is_added else []
        kept = [run for run in earlier if run["scenario"] not in run_here]
        data = {
            "size": self.size.name,
            "machine": describe_machine(),
            "missing": self.missing,
            "runs": [*kept, *self.runs],
        }
        self.file.write_text(json.dumps(data, indent=1) + "\n")


def _say(scenario: Scenario, result: dict[str, Any]) -> Iterable[str]:
    for figure in scenario.figures:
        value = figure.read(result)
        yield f"{figure.title} {'–' if value is None else f'{value:,.4g}'} {figure.unit}"
    wrong = {name: result[name] for name in ("lost", "doubled", "disordered", "refused", "cut_off")
             if result.get(name)}  # fmt: skip
    if wrong:
        yield str(wrong)


def _run_client(
    spec: dict[str, Any],
    arena: Arena,
    contestant: Contestant,
    fault: Callable[[], None] | None = None,
) -> dict[str, Any]:
    client = subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert client.stdin is not None and client.stdout is not None
    timer = threading.Timer(_RUN_SECONDS, client.kill)
    timer.start()
    started_at = 0.0
    try:
        client.stdin.write(json.dumps(spec) + "\n")
        client.stdin.flush()
        line = client.stdout.readline()
        if (word := line.strip()) in ("posted", "break"):
            started_at = time.perf_counter()
            if word == "posted":
                contestant.start_consumer()
            elif fault is not None:
                fault()
            client.stdin.write(json.dumps({**contestant.pids, **arena.pids}) + "\n")
            client.stdin.flush()
            line = client.stdout.readline()
    except DevError:
        client.kill()
        raise
    finally:
        client.wait()
        timer.cancel()
    if not line:
        raise RunError(f"the load client ended with {client.returncode}")
    result: dict[str, Any] = json.loads(line)
    if started_at and result.get("first_at"):
        result["first_ms"] = (result["first_at"] - started_at) * 1000
    return result


def describe_machine() -> dict[str, Any]:
    """What it ran on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
    }
