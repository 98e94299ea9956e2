"""What the three servers share: a process, its port, its folder, and its life."""

import ctypes
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

START_SECONDS: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None)


class ServerError(Exception):
    """A server does not start; one line that says why."""


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    # A server must not outlive a supervisor that was killed.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Server(ABC):
    """One server with data and logs in `folder`, on 127.0.0.1."""

    name: ClassVar[str]

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.detached = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`"""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerError(f"{self.name} does not run")
        return self._process

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The settings that lead a Hubbub process here."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Prepare the folder and return the command."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server serves requests now; never waits for more than a moment."""

    def start(self) -> None:
        """Start, and return when it answers.

        Raises:
            ServerError: it ended, or did not answer within a minute.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # One prctl, no lock taken: safe between fork and exec, threads or not.
                preexec_fn=None if self.detached else _end_with_parent,  # noqa: PLW1509
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self._process.poll() is not None:
                raise ServerError(f"{self.name} ended at its start; see {self.folder / 'log'}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"{self.name} does not answer; see {self.folder / 'log'}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop in good order; kill after 20 s."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kill at once, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop the process without ending it: it answers nothing and closes nothing."""
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._running.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
