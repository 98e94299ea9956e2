"""Kafka, MongoDB and Redis together: found or started, and stopped again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from dev.discovery import KINDS, locate
from dev.locks import wait_for_lock
from dev.servers import Server
from dev.servers.server import STOP_SECONDS

Say = Callable[[str], None]
Kinds = Sequence[type[Server]]


def start_in_background(
    environment: Mapping[str, str], home: Path, say: Say, kinds: Kinds = KINDS
) -> None:
    """Start what is missing so that it outlives this process, and say where everything is.

    Raises:
        DevError: a server cannot be had; those that were started for this call are stopped.
    """
    _start(environment, home, say, kinds, detached=True)


@contextmanager
def servers_running(
    environment: Mapping[str, str], home: Path, say: Say, kinds: Kinds = KINDS
) -> Iterator[None]:
    """Start what is missing, and stop that at the end; raises as `start_in_background` does."""
    servers = _start(environment, home, say, kinds, detached=False)
    try:
        yield
    finally:
        _stop(servers)


def stop_background(home: Path, kinds: Kinds = KINDS) -> list[str]:
    """Stop what `start_in_background` started; return the titles of what was stopped."""
    stopped = []
    for kind in reversed(kinds):
        file = _pid_file(home, kind)
        process = _read_process(file)
        if process is not None:
            process.terminate()
            _, alive = psutil.wait_procs([process], STOP_SECONDS)
            for left in alive:
                left.kill()
            stopped.append(kind.title)
        file.unlink(missing_ok=True)
    return stopped


def _start(
    environment: Mapping[str, str], home: Path, say: Say, kinds: Kinds, *, detached: bool
) -> list[Server]:
    # Two starts at once would find the ports free and start everything twice.
    with wait_for_lock(home / "servers.lock"):
        locations = [locate(kind, environment, home) for kind in kinds]
        servers = [location.server for location in locations if location.server]
        if servers:
            say(f"starting {', '.join(server.title for server in servers)} …")
        try:
            for server in servers:
                server.launch(detached=detached)
                if detached:
                    _write_pid(_pid_file(home, type(server)), server.pid)
            for server in servers:
                server.wait_answers()
        except BaseException:
            _stop(servers)
            raise
    for location in locations:
        say(str(location))
    return servers


def _stop(servers: list[Server]) -> None:
    running = [server for server in reversed(servers) if server.is_running]
    for server in running:
        server.terminate()
    for server in running:
        server.stop()


def _pid_file(home: Path, kind: type[Server]) -> Path:
    return home / kind.kind / "pid"


def _write_pid(file: Path, pid: int) -> None:
    # With the time of its start: the id alone may be another process's by the time it is read.
    file.write_text(f"{pid} {psutil.Process(pid).create_time()}")


def _read_process(file: Path) -> psutil.Process | None:
    try:
        pid, started = file.read_text().split()
        process = psutil.Process(int(pid))
        is_same = abs(process.create_time() - float(started)) < 1
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
