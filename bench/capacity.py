"""What a large deployment needs, computed from the measured costs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from bench.scenarios import Result
from bench.table import median_of, results_of, say_number

CONNECTIONS: Final = 1_000_000
MESSAGES_A_SECOND: Final = 100_000
EVENTS_A_CONNECTION: Final = 10
"""A second: what a client in a few busy channels reads."""
RECONNECTS_A_SECOND: Final = CONNECTIONS / 600
"""A deploy that replaces all gateways within ten minutes."""
USED: Final = 0.6
"""Of a core: the rest is for peaks, and for what comes back when a neighbour fails."""
DELIVERIES_A_SECOND: Final = CONNECTIONS * EVENTS_A_CONNECTION


@dataclass(frozen=True, slots=True)
class Need:
    """How much of something is needed, and what it was computed from."""

    what: str
    cost: float | None
    """Microseconds of CPU."""
    times: float
    of: str
    """What happens so often a second."""

    @property
    def cores(self) -> float | None:
        """Cores that are busy with it, at 60 % each."""
        return None if self.cost is None else self.cost * self.times / 1e6 / USED


def find_needs(runs: Sequence[Mapping[str, Any]]) -> list[Need]:
    """Return what each part needs; the costs are medians of Hubbub's runs."""

    def cost(scenario: str, read: Callable[[Result], float]) -> float | None:
        return median_of(results_of(runs, scenario, "hubbub"), read)

    def each(scenario: str, process: str, of: str) -> float | None:
        def read(result: Result) -> float:
            return float(result["cpu_s"][process] / max(1, result[of]) * 1e6)

        return cost(scenario, read)

    return [
        Need("gateways: deliveries", each("fan10x1000", "web.1", "delivered"),
             DELIVERIES_A_SECOND, "deliveries"),
        Need("gateways: posts", each("post64", "web.1", "accepted"),
             MESSAGES_A_SECOND, "messages"),
        Need("gateways: connect and join", each("idle", "web.1", "connections"),
             RECONNECTS_A_SECOND, "returning clients"),
        Need("messages workers", each("worker", "worker", "accepted"),
             MESSAGES_A_SECOND, "messages"),
        Need("Kafka", each("post64", "kafka", "accepted"), MESSAGES_A_SECOND, "messages"),
        Need("Redis", each("post64", "redis", "accepted"), MESSAGES_A_SECOND, "messages"),
        Need("MongoDB", each("post64", "mongodb", "accepted"),
             MESSAGES_A_SECOND, "messages"),
    ]  # fmt: skip


def find_memory_kb(runs: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the memory of a gateway for a connection."""
    idle = results_of(runs, "idle", "hubbub")
    return median_of(idle, lambda result: result["memory_kb"]["web.1"] / result["connections"])


def describe_needs(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(_lines(runs))


def _lines(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| part | measured cost | times a second | cores at 60 % |"
    yield "| --- | ---: | ---: | ---: |"
    for need in find_needs(runs):
        cost = "–" if need.cost is None else f"{say_number(need.cost)} µs"
        cores = "–" if need.cores is None else f"{ceil(need.cores):,}"
        yield (f"| {need.what} | {cost} | {need.times:,.0f} {need.of} | {cores} |")
    if kb := find_memory_kb(runs):
        memory = kb * CONNECTIONS / 2**20
        yield f"| gateways: memory | {kb:.1f} KB a connection | – | {memory:,.0f} GB in all |"
