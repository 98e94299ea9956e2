"""Runs the processes of a plan: release first, restarts what dies, leaves nothing behind."""

import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dev.child import Child
from dev.console import Console
from dev.procfile import Plan, Slot

GRACE_SECONDS: Final = 12.0
"""Longer than the 10 s in which a process of Hubbub promises to end."""

FIRST_DELAY_SECONDS: Final = 0.1
"""As systemd's `RestartSec`: whoever was killed is wanted back at once."""

LONGEST_DELAY_SECONDS: Final = 10.0
STEADY_SECONDS: Final = 30.0
"""Who has run so long is restarted as if it had never died."""

_POLL_SECONDS: Final = 0.05


class _Runner:
    """One slot's process: its lines to the console, its restarts."""

    def __init__(
        self, slot: Slot, environment: Mapping[str, str], folder: Path, console: Console
    ) -> None:
        self.slot = slot
        self.child = Child(slot.name)
        self._environment = {
            **environment,
            "HUBBUB_INSTANCE": slot.name,
            "PORT": str(slot.port),
        }
        self._folder = folder
        self._console = console
        self._started_at = 0.0
        self._restart_at: float | None = None
        self._delay_seconds = 0.0

    def start(self) -> None:
        self._started_at = time.monotonic()
        self._restart_at = None
        # `exec`: the shell reads the line and is gone, signals reach the process itself.
        command = ["/bin/sh", "-c", f"exec {self.slot.command}"]
        self.child.spawn(
            command, output=subprocess.PIPE, environment=self._environment, folder=self._folder
        )
        # A daemon: a grandchild that keeps the pipe open must not hold our end.
        threading.Thread(target=self._print_lines, args=[self.child.popen], daemon=True).start()

    def _print_lines(self, popen: subprocess.Popen[bytes]) -> None:
        if popen.stdout is not None:
            with popen.stdout as lines:
                for line in lines:
                    self._console.print_line(self.slot.name, line)

    def restart_when_due(self) -> None:
        if self.child.is_running:
            return
        now = time.monotonic()
        if self._restart_at is None:
            self.child.kill()  # What it may have left of its group.
            was_steady = now - self._started_at > STEADY_SECONDS
            longer = min(self._delay_seconds * 2, LONGEST_DELAY_SECONDS)
            self._delay_seconds = FIRST_DELAY_SECONDS if was_steady or not longer else longer
            self._restart_at = now + self._delay_seconds
            self._console.say(
                f"{self.slot.name} {describe_end(self.child.popen.returncode)}; "
                f"restarting in {self._delay_seconds:g} s"
            )
        elif now >= self._restart_at:
            self.start()
            self._console.say(f"{self.slot.name} restarted")


def describe_end(status: int) -> str:
    """Say how a process ended, from its exit status."""
    return f"ended with {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"


class Supervisor:
    """Runs a plan's processes in `folder` until it is told to stop.

    Each has `environment`, and HUBBUB_INSTANCE and PORT of its own. Its processes end with it,
    also when it is killed.
    """

    def __init__(
        self, plan: Plan, *, environment: Mapping[str, str], folder: Path, console: Console
    ) -> None:
        self._console = console
        self._runners = [_Runner(slot, environment, folder, console) for slot in plan.slots]
        self._release = plan.release and _Runner(plan.release, environment, folder, console)
        self._stop_requests = 0

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop_requests > 0

    def request_stop(self, *_: object) -> None:
        """Stop in good order; asked again, at once. A signal handler."""
        self._stop_requests += 1

    def run_release(self) -> bool:
        """Run the release command to its end; return whether it succeeded."""
        if not self._release:
            return True
        child = self._release.child
        self._release.start()
        while child.is_running and not self._must_stop():
            time.sleep(_POLL_SECONDS)
        if child.is_running:
            child.stop(GRACE_SECONDS)
        elif child.popen.returncode:
            end = describe_end(child.popen.returncode)
            self._console.say(f"release {end}: nothing was started")
        return not self.is_stopping and child.popen.returncode == 0

    def run(self) -> None:
        """Start every process and keep them running until a stop is requested; then stop them."""
        try:
            for runner in self._runners:
                runner.start()
            while not self._must_stop():
                for runner in self._runners:
                    runner.restart_when_due()
                time.sleep(_POLL_SECONDS)
        finally:
            self._stop_all()

    def _must_stop(self) -> bool:
        return self.is_stopping or self._console.is_broken

    def _stop_all(self) -> None:
        children = [runner.child for runner in self._runners if runner.child.is_running]
        if children:
            self._console.say(f"stopping {len(children)} processes; once more kills them")
        for child in children:
            child.terminate()
        requests, deadline = self._stop_requests, time.monotonic() + GRACE_SECONDS
        while any(child.is_running for child in children):
            if time.monotonic() > deadline or self._stop_requests > max(requests, 1):
                break
            time.sleep(_POLL_SECONDS)
        for child in children:
            if child.is_running:
                self._console.say(f"{child.name} is killed")
            child.kill()  # With what it may have left of its group.


def stop_on_signals(supervisor: Supervisor) -> None:
    """Make Ctrl-C, SIGTERM and a closed terminal stop the supervisor."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, supervisor.request_stop)
