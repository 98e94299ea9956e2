"""A child process: started in a session of its own, watched, frozen and ended by process id."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from dev.errors import ChildError

_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None)


def end_with_parent() -> Callable[[], None]:
    """Return a `preexec_fn` after which the kernel kills the child when its parent is gone.

    The parent is the thread that starts the child (prctl(2)): start children from a thread that
    lives as long as they shall, in asyncio from the loop's own thread.
    """
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # It died between the fork and the call.
            os._exit(1)

    return prepare


class Child:
    """What servers and Hubbub's processes share: one process with a `name`, and its life."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._popen: subprocess.Popen[bytes] | None = None
        self._is_swept = True

    def spawn(
        self,
        command: Sequence[str],
        *,
        output: IO[bytes] | int,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        detached: bool = False,
    ) -> None:
        """Start `command`, its standard output and error in `output`.

        `environment` replaces this process's own. Unless `detached` the child ends with us.

        Raises:
            ChildError: there is no such program, or it runs already.
        """
        if self.is_running:
            raise ChildError(f"{self.name} runs already")
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                # A Ctrl-C in the terminal reaches the supervisor alone, which stops in order.
                start_new_session=True,
                # Two system calls, no lock taken: safe between fork and exec, threads or not.
                preexec_fn=None if detached else end_with_parent(),  # noqa: PLW1509
            )
        except OSError as error:
            raise ChildError(f"{self.name} cannot be started: {error}") from error
        self._is_swept = False

    @property
    def popen(self) -> subprocess.Popen[bytes]:
        """The process as it was last started.

        Raises:
            ChildError: it was never started.
        """
        if self._popen is None:
            raise ChildError(f"{self.name} was not started")
        return self._popen

    @property
    def pid(self) -> int:
        """The process id."""
        return self.popen.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def wait(self, timeout_seconds: float) -> int:
        """Wait for its end; return the exit status, negative: the signal that ended it.

        Raises:
            ChildError: it has not ended in time.
        """
        try:
            return self.popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            detail = f"{self.name} has not ended within {timeout_seconds:g} s"
            raise ChildError(detail) from None

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); a frozen process is thawed for it."""
        self.popen.send_signal(signal.SIGTERM)
        self.popen.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and what it started at once, as a power cut would."""
        # Once for each start: later the group's number may be a stranger's.
        if self._popen is None or self._is_swept:
            return
        with suppress(ProcessLookupError):  # The whole group has ended already.
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._is_swept = True

    def freeze(self) -> None:
        """Hold it without ending it: from now on it answers nothing and closes nothing."""
        self.popen.send_signal(signal.SIGSTOP)
        # On a busy machine its threads go on until one of them has its turn.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self.popen.send_signal(signal.SIGCONT)

    def stop(self, grace_seconds: float = 12) -> None:
        """End it in good order, or after `grace_seconds` by force; nothing it started stays."""
        if self._popen is None:
            return
        self.terminate()
        with suppress(ChildError):
            self.wait(grace_seconds)
        self.kill()
