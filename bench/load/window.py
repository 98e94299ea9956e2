"""The measured window of a run: what was accepted, delivered and used between two moments."""

import os
import time
from collections.abc import Mapping
from typing import Any, Final

from bench.load.processes import read_cpu_seconds, read_machine, read_memory_kb
from bench.load.subscribers import Subscribers
from bench.load.tally import Tally, judge, percentile

LOAD: Final = "load"
"""This process, among those that are measured."""


class Window:
    """Opened when the load has warmed up, closed when the measured time is over."""

    def __init__(self, tally: Tally, pids: Mapping[str, int]) -> None:
        self._tally = tally
        self._pids = {**pids, LOAD: os.getpid()}
        self._begin = self._end = 0.0
        self._cpu: dict[str, float] = {}
        self._machine = (0.0, 0.0)
        self._memory: dict[str, int] = {}
        self._delivered = 0
        self.values: dict[str, Any] = {}

    def watch(self, pids: Mapping[str, int]) -> None:
        """Measure these processes instead."""
        self._pids = {**pids, LOAD: os.getpid()}

    def open(self) -> None:
        """Begin to measure."""
        self._cpu = read_cpu_seconds(self._pids)
        self._memory = read_memory_kb(self._pids)
        self._machine = read_machine()
        self._delivered = self._tally.delivered
        self._begin = time.perf_counter()

    def close(self) -> None:
        """End it."""
        self._end = time.perf_counter()
        seconds = self._end - self._begin
        accepted = [took for at, took in self._tally.post_seconds if self._begin <= at < self._end]
        delivered = self._tally.delivered - self._delivered
        cpu = read_cpu_seconds(self._pids)
        memory = read_memory_kb(self._pids)
        busy, whole = (b - a for a, b in zip(self._machine, read_machine(), strict=True))
        self.values |= {
            "seconds": seconds,
            "accepted": len(accepted),
            "accepted_per_s": len(accepted) / seconds,
            "delivered": delivered,
            "delivered_per_s": delivered / seconds,
            "post_p50_ms": _ms(percentile(accepted, 0.5)),
            "post_p99_ms": _ms(percentile(accepted, 0.99)),
            "cpu_s": {name: used - self._cpu[name] for name, used in cpu.items()},
            "memory_kb": {name: memory[name] - self._memory[name] for name in memory},
            "machine_busy": busy / whole if whole else 0.0,
        }

    def latencies(self, subscribers: Subscribers) -> list[float]:
        """Seconds from a post to its delivery, for messages sent within the window."""
        sent_at, begin, end = self._tally.sent_at, self._begin, self._end
        found = []
        for subscriber in subscribers.all:
            for at, marks in subscriber.timed or ():
                for message in map(int, marks):
                    if begin <= sent_at[message] < end:
                        found.append(at - sent_at[message])
        return found


def describe(window: Window, tally: Tally, subscribers: Subscribers) -> dict[str, Any]:
    """Return everything that a run came to."""
    latencies = window.latencies(subscribers)
    verdict = judge(tally, [(each.channel, each.chunks) for each in subscribers.all])
    return {
        **window.values,
        "e2e_p50_ms": _ms(percentile(latencies, 0.5)),
        "e2e_p99_ms": _ms(percentile(latencies, 0.99)),
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "disordered": verdict.disordered,
        "refused": tally.refused,
        "refused_joins": subscribers.refusals,
        "cut_off": subscribers.lost_connections,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
