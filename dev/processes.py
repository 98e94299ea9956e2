"""A process of Hubbub as a child: its port, its environment, its log, and when it is ready."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dev.child import Child
from dev.errors import ChildError
from dev.ports import free_port

ROOT: Final = Path(__file__).resolve().parent.parent


def with_own_python(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with a PATH on which `python` is the one that runs us."""
    path = f"{Path(sys.executable).parent}:{environment.get('PATH', os.defpath)}"
    return {**environment, "PATH": path}


def get_status(port: int, path: str, *, timeout_seconds: float = 2) -> int | None:
    """Return the status of `GET path` on this machine, or None where nothing answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


class Process(Child):
    """One process of Hubbub, for tests, benchmarks and chaos.

        with Process("web.1", ["python", "-m", "web"], environment=…, folder=tmp_path) as web:
            requests go to web.url

    `environment` goes over this process's own; `port` is a free one unless given, and is told
    as PORT. Its log is `<folder>/<name>.log`. Entering waits until it is ready, leaving stops
    it; `async with` does both without holding the loop.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        port: int | None = None,
    ) -> None:
        super().__init__(name)
        self.command = tuple(command)
        self.port = port or free_port()
        self.environment = environment
        self.log_file = folder / f"{name}.log"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`"""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, also again after its end, and return at once; the log goes on.

        Raises:
            ChildError: there is no such program.
        """
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self.environment, "PORT": str(self.port)}
        with self.log_file.open("ab") as log:
            self.spawn(
                self.command, output=log, environment=with_own_python(environment), folder=ROOT
            )

    def wait_ready(self, path: str = "/readyz", *, timeout_seconds: float = 60) -> None:
        """Wait until `GET path` is answered with 200.

        Raises:
            ChildError: it ended first, or is not ready in time; with the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        while (status := get_status(self.port, path)) != 200:
            if not self.is_running:
                raise ChildError(f"{self.name} ended with {self.popen.returncode}{self._end()}")
            if time.monotonic() > deadline:
                answer = status or "nothing"
                raise ChildError(f"{self.name} answers {path} with {answer}{self._end()}")
            time.sleep(0.05)

    def log_text(self) -> str:
        """Return everything it has logged, over all its starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _end(self) -> str:
        return "; its log ends:\n" + "\n".join(self.log_text().splitlines()[-15:])

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        # Started in the loop's own thread: a child ends with the thread that started it.
        self.start()
        try:
            await asyncio.to_thread(self.wait_ready)
        except BaseException:
            self.kill()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)
