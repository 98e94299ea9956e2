"""What a start does about servers that are slow, or that Hubbub cannot run on."""

import asyncio
import sys
from collections.abc import Sequence

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from app import provisioning
from app.commands.release import release
from app.settings import Settings
from app.topic_metadata import FoundTopic, find_topics
from dev.processes import ROOT


async def test_topic_that_takes_a_moment_after_it_was_made_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    async def find_late(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, FoundTopic]:
        nonlocal looks
        looks += 1
        found = await find_topics(admin, names)
        return found if looks > 2 else {n: t for n, t in found.items() if n != "messages"}

    monkeypatch.setattr(provisioning, "find_topics", find_late)
    await release(settings)
    assert looks > 2


@pytest.mark.parametrize("command", [("web",), ("agents", "messages")], ids=" ".join)
async def test_process_does_not_start_on_a_redis_that_evicts_what_must_stay(
    settings: Settings, redis: Redis, command: tuple[str, ...]
) -> None:
    await release(settings)
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command,
            cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, said = await asyncio.wait_for(process.communicate(), 30)
        except TimeoutError:
            process.kill()
            raise
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
    assert process.returncode == 1
    assert said.decode().splitlines()[-1] == (
        "hubbub: redis has maxmemory-policy allkeys-lru, which evicts what must stay; "
        "it must be noeviction or volatile-*"
    )
    assert b"Traceback" not in said
