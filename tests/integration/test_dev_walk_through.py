"""`python -m dev run` with the Procfile as it is: ready, its first curl, the end."""

import http.client
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from dev.ports import free_port, is_taken
from dev.procfile import make_plan
from dev.servers import Kafka, MongoDB, Redis

ROOT = Path(__file__).parents[2]
READY_SECONDS = 75


def find_first_port() -> int:
    """A port from which on all the ports of the Procfile are free."""
    text = (ROOT / "Procfile").read_text()
    while True:
        first = free_port()
        if first < 60_000 and not any(
            is_taken(slot.port) for slot in make_plan(text, first_port=first).slots
        ):
            return first


@pytest.fixture
def environment(
    tmp_path: Path, redis_server: Redis, mongodb_server: MongoDB, database_name: str
) -> Iterator[dict[str, str]]:
    # A Kafka of its own: other tests make the same topics, with other partitions.
    with Kafka(tmp_path / "kafka", fast_start=True) as kafka:
        uri = mongodb_server.environment["MONGODB_URI"]
        yield {
            **os.environ,
            **kafka.environment,
            **redis_server.environment,
            "MONGODB_URI": uri.replace("/hubbub?", f"/{database_name}?"),
            "HUBBUB_DEV_HOME": str(tmp_path / "home"),
            "PORT": str(find_first_port()),
        }


def wait_for_curl(output: Path, run: "subprocess.Popen[bytes]") -> list[str]:
    """Wait until Hubbub is said to be up; return the words of the curl that it offers."""
    deadline = time.monotonic() + READY_SECONDS
    while "curl" not in output.read_text():
        assert run.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
    text = output.read_text()
    assert "Hubbub is up" in text, text
    line = next(line for line in text.splitlines() if "curl" in line)
    return shlex.split(line[line.index("curl") :])


def request(curl: list[str]) -> int:
    """Do what the curl does; return the status."""
    _, _, method, address, _, header, _, body = curl
    url = urlsplit(address)
    connection = http.client.HTTPConnection("127.0.0.1", url.port or 80, timeout=30)
    connection.request(method, url.path, body, dict([header.split(": ")]))
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.timeout(150)
def test_a_run_is_ready_answers_its_first_curl_and_leaves_no_process_behind(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    log = tmp_path / "output"
    with log.open("wb") as file:
        run = subprocess.Popen(
            [sys.executable, "-m", "dev", "run"],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        assert request(wait_for_curl(log, run)) == 201
        processes = psutil.Process(run.pid).children(recursive=True)
        assert len(processes) == 5
        run.terminate()
        assert run.wait(20) == 0
        _, alive = psutil.wait_procs(processes, timeout=30)
        assert alive == []
        assert "is killed" not in log.read_text()
    finally:
        run.kill()
        run.wait()
