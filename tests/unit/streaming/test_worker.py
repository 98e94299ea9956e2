"""The start of a worker, and its end."""

import subprocess
import sys
from typing import cast

import faust
import pytest

from app.errors import Unavailable
from app.settings import load
from app.streaming import worker
from app.streaming.application import Application
from app.topics import MESSAGES
from dev.ports import free_port


async def test_failed_stop_does_not_change_how_a_worker_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_end_within", lambda *_: None)

    class Dead:
        async def stop(self) -> None:
            raise RuntimeError("Event loop is closed")

    await worker._stop(cast(Application, Dead()), 70)
    assert "worker_stop_failed" in caplog.messages


STOPPING = """
import asyncio, time
from app.streaming import worker

class App:
    async def stop(self):
        time.sleep({in_stop})

worker._STOP_SECONDS = 0.5
asyncio.run(worker._stop(App(), 70))
time.sleep(600)
"""


@pytest.mark.parametrize("in_stop", [600, 0])
def test_worker_that_waits_for_ever_while_or_after_it_stops_is_ended(in_stop: int) -> None:
    """As Faust waits for its consumer's thread: the event loop stands still."""
    command = [sys.executable, "-c", STOPPING.format(in_stop=in_stop)]
    assert subprocess.run(command, check=False, timeout=60).returncode == 70


async def test_start_without_kafka_gives_up_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_calm_garbage_collector", lambda: None)
    settings = load().model_copy(
        update={
            "kafka_brokers": (f"127.0.0.1:{free_port()}",),
            "start_timeout_seconds": 0.5,
            "host": "127.0.0.1",
            "port": free_port(),
        }
    )
    app = Application(MESSAGES, settings, partitions=1, incarnation="a", table=faust.Table)
    with pytest.raises(Unavailable, match="kafka does not answer"):
        await worker.run(app, settings, {})
