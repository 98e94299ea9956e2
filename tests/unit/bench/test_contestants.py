"""How a contestant's processes end."""

import time
from pathlib import Path

import pytest

from bench.contestants import Contestant

PROGRAM = """
import pathlib, signal, sys

def leave(*_):
    pathlib.Path("{folder}/left").touch()
    sys.exit()

signal.signal(signal.SIGTERM, leave)
pathlib.Path("{folder}/started").touch()
signal.pause()
"""


class Consumer(Contestant):
    """One process that says good-bye when it is told to end."""

    name = "consumer"
    title = "a consumer"
    dialect = "hubbub"
    gateway = consumer = "consumer"

    def start(self) -> None:
        self._process("consumer", ["python", "-c", PROGRAM.format(folder=self.folder)])


@pytest.fixture
def consumer(tmp_path: Path) -> Consumer:
    return Consumer({}, tmp_path)


def test_contestant_when_it_is_stopped_may_leave_its_group(
    consumer: Consumer, tmp_path: Path
) -> None:
    consumer.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    consumer.stop()
    assert (tmp_path / "left").exists()
    assert not consumer.pids
