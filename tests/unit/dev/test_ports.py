"""Ports of servers and processes that are started side by side."""

import subprocess
import sys

COUNT = 400
ASK = f"from dev.ports import free_port; print(*(free_port() for _ in range({COUNT}))); input()"


def test_free_port_is_given_to_one_in_all_processes_that_run() -> None:
    """Nobody listens on any of them yet."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", ASK]
    asking = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(8)]
    given: list[str] = []
    for process in asking:
        assert process.stdout is not None
        given += process.stdout.readline().split()
    for process in asking:
        process.communicate("\n", timeout=30)
    assert len(given) == len(set(given)) == COUNT * len(asking)
