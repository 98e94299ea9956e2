"""A process of Hubbub as a child."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dev.errors import ChildError
from dev.processes import Process

SERVES = """
import os, http.server
print("port", os.environ["PORT"], os.environ["GREETING"], flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def serving(folder: Path, code: str = SERVES) -> Process:
    return Process(
        "web.1", ["python", "-c", code], environment={"GREETING": "hello"}, folder=folder
    )


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with serving(tmp_path) as process:
        yield process


def test_a_process_that_is_entered_has_its_port_and_environment(process: Process) -> None:
    assert f"port {process.port} hello" in process.log_text()


def test_a_killed_process_starts_again_and_keeps_its_log(process: Process) -> None:
    first = process.pid
    process.kill()
    assert process.popen.returncode == -9
    process.start()
    process.wait_ready()
    assert process.pid != first
    assert process.log_text().count("hello") == 2


def test_a_frozen_process_answers_when_it_is_thawed(process: Process) -> None:
    process.freeze()
    with pytest.raises(ChildError, match="answers /readyz with nothing"):
        process.wait_ready(timeout_seconds=0)
    process.thaw()
    process.wait_ready()


def test_a_frozen_process_is_stopped_within_its_grace(process: Process) -> None:
    process.freeze()
    process.stop(grace_seconds=30)
    # By the signal that lets it end in good order, and not by the one after its grace.
    assert process.popen.returncode == -signal.SIGTERM


def test_a_process_that_ends_before_it_is_ready_is_told_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"web\.1 ended with 3; its log ends:\nno way"):
        serving(tmp_path, "import sys; print('no way'); sys.exit(3)").__enter__()


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    process = serving(
        tmp_path,
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES,
    )
    with process:
        process.stop(grace_seconds=0.2)
    assert process.popen.returncode == -9


async def test_a_process_is_started_and_stopped_from_async_code(tmp_path: Path) -> None:
    async with serving(tmp_path) as process:
        assert process.is_running
    assert not process.is_running


def test_what_a_process_started_is_gone_after_its_stop(tmp_path: Path) -> None:
    with serving(tmp_path, "import subprocess; subprocess.Popen(['sleep', '60'])\n" + SERVES) as it:
        (sleeper,) = psutil.Process(it.pid).children()
    sleeper.wait(30)


def test_a_process_that_runs_is_not_started_twice(process: Process) -> None:
    with pytest.raises(ChildError, match=r"web\.1 runs already"):
        process.start()
