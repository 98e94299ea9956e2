"""The supervisor, with small processes of its own: order, environment, restarts, the end."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dev.ports import free_port

PROGRAM = """
import os, sys
from pathlib import Path
from dev.console import Console
from dev.procfile import make_plan
from dev.supervisor import Supervisor, stop_on_signals

plan = make_plan(Path(sys.argv[1]).read_text(), {"web": 2}, first_port=int(sys.argv[2]))
console = Console([slot.name for slot in plan.slots])
supervisor = Supervisor(
    plan, environment=dict(os.environ), folder=Path(sys.argv[1]).parent, console=console
)
stop_on_signals(supervisor)
if not supervisor.run_release():
    sys.exit(1)
supervisor.run()
"""
SLEEPS = (
    f'{sys.executable} -c "import os, time; '
    "print('up as', os.environ['HUBBUB_INSTANCE'], 'at', os.environ['PORT'], flush=True); "
    'time.sleep(60)"'
)
ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 45


class Run:
    """A supervisor as a process of its own, and what it prints."""

    def __init__(self, folder: Path, procfile: str) -> None:
        (folder / "Procfile").write_text(procfile)
        self.first_port = free_port()
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(folder / "Procfile"), str(self.first_port)],
                cwd=ROOT, stdout=output, stderr=output,
            )  # fmt: skip

    def text(self) -> str:
        return self._output.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.text().count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} is not in:\n{self.text()}"
            time.sleep(0.02)

    def children(self) -> list[psutil.Process]:
        found: list[psutil.Process] = psutil.Process(self.popen.pid).children(recursive=True)
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(DEADLINE_SECONDS)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path, f"web: {SLEEPS}\nrelease: echo released\nmessages: {SLEEPS}\n")
    yield run
    run.popen.kill()
    run.popen.wait()


def test_release_ends_before_a_process_starts(running: Run) -> None:
    running.wait_for("up as", times=3)
    assert "| released" in running.text().splitlines()[0]


def test_each_process_has_its_name_its_instance_and_its_port(running: Run) -> None:
    running.wait_for("up as", times=3)
    lines = {line.strip() for line in running.text().splitlines()}
    port = running.first_port
    assert f"web.1      | up as web.1 at {port}" in lines
    assert f"web.2      | up as web.2 at {port + 1}" in lines
    assert f"messages.1 | up as messages.1 at {port + 100}" in lines


def test_a_process_that_dies_is_started_again_and_said_so(running: Run) -> None:
    running.wait_for("up as", times=3)
    victim = running.children()[0]
    victim.kill()
    running.wait_for("was ended by SIGKILL; restarting in 0.1 s")
    running.wait_for("up as", times=4)
    assert running.text().count("restarted") == 1
    assert len(running.children()) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_leaves_no_process_behind(running: Run, number: signal.Signals) -> None:
    running.wait_for("up as", times=3)
    children = running.children()
    assert running.stop(number) == 0
    assert len(children) == 3
    assert_gone(children)


def test_a_killed_supervisor_leaves_no_process_behind(running: Run) -> None:
    running.wait_for("up as", times=3)
    children = running.children()
    running.stop(signal.SIGKILL)
    assert len(children) == 3
    assert_gone(children)


def test_a_second_signal_kills_what_ignores_the_first(tmp_path: Path) -> None:
    stubborn = f"{sys.executable} -c \"import signal, time; signal.signal(15, signal.SIG_IGN); " \
        "print('up as', flush=True); time.sleep(60)\""  # fmt: skip
    run = Run(tmp_path, f"web: {stubborn}\n")
    try:
        run.wait_for("up as", times=2)
        children = run.children()
        run.popen.terminate()
        run.wait_for("stopping 2 processes")
        assert run.stop() == 0
        assert "web.1 is killed" in run.text()
        assert_gone(children)
    finally:
        run.popen.kill()


def test_a_release_that_fails_starts_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path, f"release: sh -c 'exit 3'\nweb: {SLEEPS}\n")
    assert run.popen.wait(DEADLINE_SECONDS) == 1
    assert "release ended with 3: nothing was started" in run.text()
    assert "up as" not in run.text()
