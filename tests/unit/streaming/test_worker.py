"""The start of a worker."""

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
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Dead:
        async def stop(self) -> None:
            raise RuntimeError("Event loop is closed")

    await worker._stop(cast(Application, Dead()), 70)
    assert "worker_stop_failed" in caplog.messages


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
