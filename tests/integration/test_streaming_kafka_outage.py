"""Kafka away and back, under load: consumption goes on, and so do commits; a stop is in time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis as RedisClient

from app.settings import Settings, load
from dev.servers import Kafka
from dev.supervisor import GRACE_SECONDS
from tests.support.group import counting_group


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[Kafka]:
    """A broker of the test's own."""
    with Kafka(tmp_path / "kafka", fast_start=True) as server:
        yield server


@pytest.mark.timeout(300)
async def test_worker_when_kafka_is_killed_three_times_consumes_commits_and_stops_in_time(
    kafka: Kafka, redis: RedisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = load().model_copy(update={"kafka_brokers": (kafka.address,)})
    async with counting_group(settings, redis, tmp_path) as group:
        (worker,) = await group.start()
        for _ in range(3):
            async with group.load():
                await asyncio.sleep(1)
                kafka.kill()
                await asyncio.sleep(1)
                kafka.launch()
                await asyncio.to_thread(kafka.wait_answers)
            await group.verify()
        assert worker.is_running
        kafka.kill()
        worker.terminate()
        assert await asyncio.to_thread(worker.wait, GRACE_SECONDS) == 0
