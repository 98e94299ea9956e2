"""`python -m dev run`: what it needs, and what it says in one line where that is not so."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dev.locks import hold_alone
from dev.servers import Redis

ROOT = Path(__file__).parents[2]


def run(home: Path, *counts: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited: Mapping[str, str] = {**os.environ, "HUBBUB_DEV_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "dev", "run", *counts],
        cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert [part for part in ("hubbub: ", *parts) if part not in line] == []


def test_a_run_beside_another_is_refused_with_its_process(tmp_path: Path) -> None:
    with hold_alone(tmp_path / "run.lock", "Hubbub runs"):
        assert_one_line(run(tmp_path), "Hubbub runs already", str(os.getpid()), "stop it first")


def test_a_run_whose_port_is_taken_is_refused_with_the_port(
    tmp_path: Path, redis_server: Redis
) -> None:
    done = run(tmp_path, PORT=str(redis_server.port))
    assert_one_line(done, f"port {redis_server.port}, for web.1, is taken", "PORT=")


@pytest.mark.parametrize(("counts", "named"), [("wbe=2", "'wbe'"), ("web=many", "'web=many'")])
def test_a_run_with_counts_that_make_no_sense_is_refused(
    tmp_path: Path, counts: str, named: str
) -> None:
    assert_one_line(run(tmp_path, counts), named)


def test_a_run_with_a_port_that_is_none_is_refused(tmp_path: Path) -> None:
    assert_one_line(run(tmp_path, PORT="web"), "PORT", "'web'")
