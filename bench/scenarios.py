"""What is measured: each scenario's load, and the figures that are read from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

GATEWAY_KILLED: Final = "gateway-killed"
WORKER_KILLED: Final = "worker-killed"
FROZEN: Final[Mapping[str, str]] = {"redis-frozen": "redis", "kafka-frozen": "kafka"}
"""Faults, and which server each of these freezes."""
Result = Mapping[str, Any]
SERVERS: Final = ("kafka", "redis", "mongodb")
LOAD: Final = "load"
GATEWAYS: Final = ("web.1", "python-gateway", "node")
WORKERS: Final = ("messages.1", "python-consumer")

ALL: Final = ("hubbub", "python", "node")
WITH_LIMIT: Final = (*ALL, "echo")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is read from a result; None where the result has none."""

    title: str
    unit: str
    read: Callable[[Result], float | None]
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load, who is put under it, and what is read."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    load: Mapping[str, Any] = field(default_factory=dict)
    """As `bench.load.modes.Spec` names it."""
    contestants: tuple[str, ...] = ALL
    quick_load: Mapping[str, Any] = field(default_factory=dict)
    """What is smaller in the quick run."""
    once: tuple[str, ...] = ("echo",)
    """Who is measured in the first pass alone: it takes long, or is the same in all."""


def own_cpu_seconds(result: Result) -> float:
    """The CPU of a contestant's processes: all but the servers' and the load client's."""
    cpu: Mapping[str, float] = result["cpu_s"]
    return sum(seconds for name, seconds in cpu.items() if name not in (*SERVERS, LOAD))


def server_cpu_seconds(result: Result) -> float:
    """The CPU of Kafka, Redis and MongoDB."""
    cpu: Mapping[str, float] = result["cpu_s"]
    return sum(cpu[name] for name in SERVERS)


def per_message(result: Result) -> float | None:
    """A contestant's own CPU for a message, µs."""
    return _each(own_cpu_seconds(result), result["accepted"])


def server_per_message(result: Result) -> float | None:
    """What a message costs the servers, µs of CPU."""
    return _each(server_cpu_seconds(result), result["accepted"])


def per_delivery(result: Result) -> float | None:
    """A contestant's own CPU for a delivery, µs."""
    return _each(own_cpu_seconds(result), result["delivered"])


def is_client_bound(result: Result) -> bool:
    """Whether the load client may have decided: it was busy for more than 0.8 of a core."""
    return bool(result["cpu_s"].get(LOAD, 0.0) > 0.8 * result["seconds"])


def _each(seconds: float, count: int) -> float | None:
    return seconds / count * 1e6 if count else None


def _value(name: str) -> Callable[[Result], float | None]:
    return lambda result: result.get(name)


def _kb_per_connection(result: Result) -> float | None:
    memory: Mapping[str, int] = result["memory_kb"]
    own = sum(kb for name, kb in memory.items() if name not in (*SERVERS, LOAD))
    return own / int(result["connections"])


def _gateway_kb_per_connection(result: Result) -> float | None:
    memory: Mapping[str, int] = result["memory_kb"]
    return sum(memory.get(name, 0) for name in GATEWAYS) / int(result["connections"])


def _gateway_growth_kb(result: Result) -> float | None:
    memory: Mapping[str, int] = result["memory_kb"]
    return sum(memory.get(name, 0) for name in GATEWAYS)


def _gateway_per_delivery(result: Result) -> float | None:
    used = sum(result["cpu_s"].get(name, 0.0) for name in GATEWAYS)
    return _each(used, result["delivered"])


def _connect_cpu_us(result: Result) -> float | None:
    return own_cpu_seconds(result) / int(result["connections"]) * 1e6


ACCEPTED: Final = Figure("accepted", "/s", _value("accepted_per_s"), more_is_better=True)
DELIVERED: Final = Figure("delivered", "/s", _value("delivered_per_s"), more_is_better=True)
POST_P50: Final = Figure("POST p50", "ms", _value("post_p50_ms"))
POST_P99: Final = Figure("POST p99", "ms", _value("post_p99_ms"))
E2E_P50: Final = Figure("delivery p50", "ms", _value("e2e_p50_ms"))
E2E_P99: Final = Figure("delivery p99", "ms", _value("e2e_p99_ms"))
CPU_DELIVERY: Final = Figure("CPU a delivery", "µs", per_delivery)
CPU_MESSAGE: Final = Figure("CPU a message", "µs", per_message)
RATE: Final = Figure("messages", "/s", _value("rate_per_s"), more_is_better=True)

SCENARIOS: Final = (
    Scenario(
        "idle",
        "5,000 connections, a channel each",
        (
            Figure("gateway's memory a connection", "KB", _gateway_kb_per_connection),
            Figure("all processes' memory a connection", "KB", _kb_per_connection),
            Figure("connected and joined", "/s", _value("joined_per_s"), more_is_better=True),
            Figure("CPU to connect and join", "µs", _connect_cpu_us),
        ),
        {"mode": "idle", "connections": 5000, "channels": 5000, "posters": 0},
        quick_load={"connections": 1000, "channels": 1000},
        once=("python",),
    ),
    Scenario(
        "post16",
        "16 posters in a closed loop",
        (ACCEPTED, POST_P50, POST_P99, CPU_MESSAGE),
        {"mode": "closed", "posters": 16},
        WITH_LIMIT,
    ),
    Scenario(
        "post64",
        "64 posters in a closed loop",
        (ACCEPTED, POST_P50, POST_P99, DELIVERED, CPU_MESSAGE),
        {"mode": "closed", "posters": 64},
        WITH_LIMIT,
    ),
    *(
        Scenario(
            f"e2e{rate}",
            f"{rate:,} messages a second to 10 clients",
            (E2E_P50, E2E_P99, POST_P50),
            {"mode": "open", "rate": rate, "connections": 10},
        )
        for rate in (50, 200, 1000)
    ),
    Scenario(
        "fan10x1000",
        "10 messages a second to 1,000 clients",
        (CPU_DELIVERY, E2E_P50, E2E_P99),
        {"mode": "open", "rate": 10, "connections": 1000},
        WITH_LIMIT,
    ),
    Scenario(
        "fan100x200",
        "100 messages a second to 200 clients",
        (CPU_DELIVERY, E2E_P50, E2E_P99),
        {"mode": "open", "rate": 100, "connections": 200},
        WITH_LIMIT,
    ),
    Scenario(
        "max",
        "as many messages as 200 clients are given",
        (DELIVERED, ACCEPTED, CPU_DELIVERY),
        {"mode": "closed", "connections": 200, "most_in_flight": 256},
        WITH_LIMIT,
    ),
    Scenario(
        "direct",
        "a backlog to 200 clients",
        (
            Figure("delivered", "/s", _value("drained_per_s"), more_is_better=True),
            CPU_DELIVERY,
        ),
        {"mode": "backlog", "connections": 200},
        quick_load={"connections": 50},
        once=("python",),
    ),
    Scenario(
        "storm",
        "1,000 clients drop and come back at once",
        (
            Figure("all back", "ms", _value("all_back_ms")),
            Figure("all caught up", "ms", _value("caught_up_ms")),
            Figure("lost", "pairs", _value("lost")),
        ),
        {"mode": "storm", "rate": 50, "connections": 1000, "seconds": 1.0},
        quick_load={"connections": 300},
        once=("python",),
    ),
)

WORKER: Final = Scenario(
    "worker",
    "a worker alone with a backlog",
    (RATE, Figure("CPU a message", "µs", _value("cpu_us_per_message"))),
    contestants=("hubbub", "plain"),
)
FAULTS: Final = tuple(
    Scenario(
        fault,
        f"200 messages a second, {title}",
        (
            Figure("lost", "pairs", _value("lost")),
            Figure("doubled", "pairs", _value("doubled")),
            Figure("longest delivery", "ms", _value("longest_delivery_ms")),
            Figure("longest time without a 201", "ms", _value("longest_silence_ms")),
        ),
        {"mode": "fault", "rate": 200, "connections": 40, "channels": 40, "seconds": seconds},
        contestants=("hubbub", "python"),
        quick_load={"seconds": 4.0},
    )
    for fault, title, seconds in (
        (GATEWAY_KILLED, "the gateway is killed and started again", 5.0),
        (WORKER_KILLED, "what consumes them is killed and started again", 5.0),
        ("redis-frozen", "Redis stands still for 10 s", 12.0),
        ("kafka-frozen", "Kafka stands still for 10 s", 12.0),
    )
)
RESTART: Final = Scenario(
    "restart",
    "a worker's restart with a full table",
    (Figure("first message delivered", "ms", _value("first_ms")),),
    contestants=("full", "empty", "replay", "stock"),
)
CROWD: Final = Scenario(
    "crowd",
    "64 posters in a channel of many members",
    (CPU_MESSAGE, Figure("servers' CPU a message", "µs", server_per_message), ACCEPTED),
    {"mode": "closed", "posters": 64, "senders": 2},
    contestants=("many", "two"),
)
STALLED: Final = Scenario(
    "stalled",
    "10 messages a second to 1,000 clients, beside one that stalls",
    (
        E2E_P50,
        E2E_P99,
        Figure("gateway's CPU a delivery", "µs", _gateway_per_delivery),
        Figure("gateway's memory grew by", "KB", _gateway_growth_kb),
        Figure("lost", "pairs", _value("lost")),
    ),
    {"mode": "beside", "rate": 10, "connections": 1000, "seconds": 4.0},
    contestants=("stalled", "reading"),
    quick_load={"connections": 200},
)
NOT_QUICK: Final = (*FAULTS, RESTART, CROWD, STALLED)
"""What a quick run leaves out unasked: it takes long, and speed shows in the others."""
