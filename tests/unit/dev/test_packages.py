"""Missing system packages: installed as root on Debian, else named with the line that does it."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "dev" / "packages.sh"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that comes first on PATH."""
    return tmp_path


def put(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def install(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        [str(SCRIPT), *names], env=environment, capture_output=True, text=True, check=False
    )


def test_packages_as_root_are_installed_and_said_so(programs: Path) -> None:
    put(programs, "id", "echo 0")
    put(programs, "mkdir", "exit 0")
    put(programs, "apt-get", f'echo "$@" >> {programs}/calls')
    done = install(programs, "maven", "make")
    assert done.returncode == 0
    calls = (programs / "calls").read_text().splitlines()
    assert calls == ["update", "install -y --no-install-recommends maven make"]
    assert "installing maven make by apt" in done.stderr


def test_packages_as_another_user_are_named_with_the_line_that_installs_them(
    programs: Path,
) -> None:
    put(programs, "id", "echo 1000")
    done = install(programs, "maven")
    assert done.returncode == 1
    assert done.stderr == "missing: maven — install it: sudo apt-get install -y maven\n"


def test_packages_that_apt_does_not_have_are_told_in_one_line(programs: Path) -> None:
    put(programs, "id", "echo 0")
    put(programs, "mkdir", "exit 0")
    put(programs, "apt-get", "echo 'E: Unable to locate package maven'; exit 100")
    done = install(programs, "maven")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "apt cannot install maven: E: Unable to locate package maven"
    )
