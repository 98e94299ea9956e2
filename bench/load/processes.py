"""CPU time and memory of processes, from /proc."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TICK_SECONDS: Final = 1 / os.sysconf("SC_CLK_TCK")


def read_cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU time, user and system, that each process has used (proc_pid_stat(5))."""
    return {name: _read_cpu(pid) for name, pid in pids.items()}


def _read_cpu(pid: int) -> float:
    # Behind the name, which may hold anything, and its parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def read_memory_kb(pids: Mapping[str, int]) -> dict[str, int]:
    """Return each process's resident memory."""
    return {name: _read_resident(pid) for name, pid in pids.items()}


def _read_resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ValueError(f"process {pid} has no VmRSS")


def read_machine() -> tuple[float, float]:
    """Return the seconds that all cores have been busy, and have been there (proc_stat(5))."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) * _TICK_SECONDS, sum(fields) * _TICK_SECONDS
