"""Servers of the benchmark's own, with Hubbub provisioned on them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from dev.errors import ServerError
from dev.processes import ROOT
from dev.servers import Kafka, MongoDB, Redis, Server


@dataclass(frozen=True, slots=True)
class Arena:
    """Three servers that run, and the settings that lead to them."""

    servers: tuple[Server, ...]
    environment: dict[str, str]

    @property
    def pids(self) -> dict[str, int]:
        """The servers' processes, by name."""
        return {server.name: server.pid for server in self.servers}

    @property
    def settings(self) -> Settings:
        """The settings, for what the benchmark does to the servers itself."""
        names = ("KAFKA_BROKERS", "REDIS_HOST", "REDIS_PORT", "MONGODB_URI")
        return Settings.model_validate({name: self.environment[name] for name in names})


@contextmanager
def open_arena(folder: Path) -> Iterator[Arena]:
    """Start Kafka, Redis and MongoDB on free ports, and kill them at the end.

    Raises:
        DevError: one of them does not start.
    """
    servers: tuple[Server, ...] = (
        Kafka(folder / "kafka"),
        Redis(folder / "redis"),
        MongoDB(folder / "mongodb"),
    )
    environment = {"HUBBUB_HOST": "127.0.0.1", "HUBBUB_RECONNECT_SPREAD_MS": "200"}
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_answers()
            environment |= server.environment
        _release(environment)
        yield Arena(servers, environment)
    finally:
        for server in servers:
            server.kill()


def _release(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "release"],
        env={**os.environ, **environment},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ServerError(f"topics and indexes cannot be made: {done.stderr.strip()[-500:]}")
