"""Hubbub in its real processes, on real servers of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pymongo.database import Database

from dev.processes import ROOT, Process
from dev.servers import Kafka, MongoDB, Redis

Stored = Database[dict[str, Any]]
"""What a stack's MongoDB holds, read and written past the processes."""


class Stack:
    """Three servers, provisioned, and the processes that are started on them.

    It shares nothing with other tests: consumer groups and topics have fixed names.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kafka = Kafka(folder / "kafka", fast_start=True)
        self.redis = Redis(folder / "redis")
        self.mongodb = MongoDB(folder / "mongodb")
        self.settings: dict[str, str] = {}
        """Over those that lead to these servers."""
        self._processes = ExitStack()

    @property
    def servers(self) -> tuple[Kafka, Redis, MongoDB]:
        """All three."""
        return self.kafka, self.redis, self.mongodb

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead to these servers."""
        environment = {"HUBBUB_HOST": "127.0.0.1", "HUBBUB_RECONNECT_SPREAD_MS": "200"}
        for server in self.servers:
            environment |= server.environment
        return environment | self.settings

    def release(self) -> None:
        """Provision topics and indexes."""
        subprocess.run(
            [sys.executable, "-m", "app", "release"],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            check=True,
            capture_output=True,
        )

    def process(self, name: str, **environment: str) -> Process:
        """Return a process, not started: `web.1`, `messages.2`; it is killed when all is over."""
        kind = name.partition(".")[0]
        module = ["web"] if kind == "web" else ["agents", kind]
        process = Process(
            name,
            ["python", "-m", *module],
            environment={**self.environment, **environment},
            folder=self.folder,
        )
        self._processes.callback(process.kill)
        return process

    def start(self, *names: str, **environment: str) -> list[Process]:
        """Start processes side by side; return them when all are ready."""
        processes = [self.process(name, **environment) for name in names]
        for process in processes:
            process.start()
        for process in processes:
            process.wait_ready()
        return processes

    def stop_processes(self) -> None:
        """Kill every process that still runs."""
        self._processes.close()


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Start servers of a test's own and provision them."""
    stack = Stack(folder)
    # The servers end with the threads that started them, so these live as long.
    with ThreadPoolExecutor() as pool:
        try:
            for started in [pool.submit(server.start) for server in stack.servers]:
                started.result()
            stack.release()
            yield stack
        finally:
            stack.stop_processes()
            for server in stack.servers:
                server.kill()
