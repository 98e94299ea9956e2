"""The servers of a developer's machine: in the background or beside a run, found again, stopped."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from dev.ports import free_port, is_taken
from dev.servers import Redis
from dev.stack import servers_running, stop_background

ROOT = Path(__file__).parents[2]
UP = """
import sys
from pathlib import Path
from dev.servers import Redis
from dev.stack import start_in_background

Redis.default_port = int(sys.argv[2])
start_in_background({}, Path(sys.argv[1]), print, [Redis])
"""


@pytest.fixture
def kind() -> type[Redis]:
    """Redis with a default port that is free."""

    class RedisThere(Redis):
        default_port: ClassVar[int] = free_port()

    return RedisThere


def start_from_another_process(home: Path, kind: type[Redis]) -> list[str]:
    """Start in the background from a process that ends; return what it said."""
    done = subprocess.run(
        [sys.executable, "-c", UP, str(home), str(kind.default_port)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=30,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_a_background_server_is_started_once_found_and_stopped(
    tmp_path: Path, kind: type[Redis]
) -> None:
    address = f"Redis at localhost:{kind.default_port}"
    try:
        assert start_from_another_process(tmp_path, kind) == [
            "starting Redis …",
            f"{address}, started here",
        ]
        assert start_from_another_process(tmp_path, kind) == [f"{address}, was running"]
    finally:
        assert stop_background(tmp_path, [kind]) == ["Redis"]
    assert not is_taken(kind.default_port)
    assert stop_background(tmp_path, [kind]) == []


def test_a_process_that_has_the_id_of_one_that_is_gone_is_left_alone(
    tmp_path: Path, kind: type[Redis]
) -> None:
    with Redis(tmp_path / "other") as other:
        (tmp_path / "redis").mkdir()
        (tmp_path / "redis" / "pid").write_text(f"{other.pid} 1.0")
        assert stop_background(tmp_path, [kind]) == []
        assert psutil.pid_exists(other.pid)
    assert not (tmp_path / "redis" / "pid").exists()


def test_a_run_stops_what_it_started_and_leaves_what_it_found(
    tmp_path: Path, kind: type[Redis]
) -> None:
    def ignore(_: str) -> None: ...

    with servers_running({}, tmp_path, ignore, [kind]):
        with servers_running({}, tmp_path, ignore, [kind]):
            assert is_taken(kind.default_port)
        assert is_taken(kind.default_port)
    assert not is_taken(kind.default_port)
