"""Workers of one group as processes: killed, frozen, told to stop, scaled; on a real Kafka."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis as RedisClient

from app.settings import Settings
from dev.processes import Process
from dev.servers import Redis
from dev.supervisor import GRACE_SECONDS
from tests.support.group import SESSION_SECONDS, Group, counting_group, until, wait_ready

KILL_SECONDS = float(os.environ.get("HUBBUB_DEV_KILL_SECONDS", "20"))
"""How long workers are killed; 60 for a thorough run."""


async def generation_of(group: Group, worker: Process) -> int:
    """The generation in which `worker` wrote last; 0: it never did."""
    mine = [w for w in await group.writers() if w.startswith(f"{worker.pid}:")]
    return int(mine[-1].partition(":")[2]) if mine else 0


async def wait_generation_after(group: Group, worker: Process, generation: int) -> None:
    """Wait until `worker` has written in a later generation."""

    async def is_later() -> bool:
        return await generation_of(group, worker) > generation

    await until(is_later, 40)


@pytest.fixture
async def group(settings: Settings, redis: RedisClient, tmp_path: Path) -> AsyncIterator[Group]:
    async with counting_group(settings, redis, tmp_path) as group:
        yield group


@pytest.mark.timeout(KILL_SECONDS + 150)
async def test_workers_when_killed_in_a_loop_bring_about_each_record_once(group: Group) -> None:
    workers = await group.start(2)
    ends_at = time.monotonic() + KILL_SECONDS
    kills = 0
    async with group.load():
        while time.monotonic() < ends_at or kills < 3:
            await asyncio.sleep(random.uniform(0.5, 3))
            victim = random.choice(workers)
            victim.kill()
            kills += 1
            await group.check_commits()
            await asyncio.sleep(random.uniform(0, 1))
            victim.start()
            if random.random() < 0.5:  # The others die while it joins, or after.
                await wait_ready(victim)
    await group.verify()


async def test_worker_when_frozen_past_its_session_writes_nothing_until_it_is_back(
    group: Group,
) -> None:
    frozen, other = await group.start(2)
    async with group.load():
        await wait_generation_after(group, frozen, 0)
        frozen.freeze()
        before = await generation_of(group, frozen)
        # The other one takes its partitions over.
        await wait_generation_after(group, other, before)
        await asyncio.sleep(1)
        await group.mark("thawed")
        frozen.thaw()
        await wait_generation_after(group, frozen, before)
    await group.verify()
    writers = await group.writers()
    late = writers[writers.index("thawed") :]
    assert f"{frozen.pid}:{before}" not in late
    assert frozen.is_running


async def test_worker_told_to_stop_while_redis_is_away_acknowledges_nothing_and_ends_in_time(
    group: Group, redis_server: Redis
) -> None:
    (worker,) = await group.start()
    await group.send(40)
    await group.verify()
    redis_server.freeze()
    try:
        sent = list(group.sent)
        await group.send(40)
        await asyncio.sleep(1)
        began = time.monotonic()
        worker.terminate()
        status = await asyncio.to_thread(worker.wait, 20)
        took = time.monotonic() - began
        assert await group.committed() == len(sent)
    finally:
        redis_server.thaw()
    assert status == 0
    assert took < GRACE_SECONDS
    await group.start()
    await group.verify()


async def test_group_when_scaled_up_and_down_under_load_loses_and_doubles_nothing(
    group: Group,
) -> None:
    (first,) = await group.start()
    async with group.load():
        others = await group.start(2)
        for worker in (first, *others):
            await wait_generation_after(group, worker, 0)
        await group.check_commits()
        for worker in others:
            worker.terminate()
        for worker in others:
            assert await asyncio.to_thread(worker.wait, 20) == 0
        await asyncio.sleep(1)
    await group.verify()
    pids = {writer.partition(":")[0] for writer in await group.writers()}
    assert pids == {str(worker.pid) for worker in (first, *others)}


async def test_dynamic_member_when_told_to_stop_leaves_its_group(group: Group) -> None:
    group.session_seconds = 60
    (worker,) = await group.start()
    assert await group.members() == 1
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 20) == 0

    async def has_left() -> bool:
        return await group.members() == 0

    await until(has_left, 20)


async def test_dynamic_member_when_killed_is_replaced_within_its_session(group: Group) -> None:
    killed, other = await group.start(2)
    await group.send(400)
    await group.verify()
    killed.kill()
    await group.send(400)
    # Finding it dead takes a session, joining and reading a moment more.
    await group.wait_effects(seconds=SESSION_SECONDS + 20)
    assert other.is_running


async def test_static_member_when_killed_is_back_long_before_its_session_ends(
    group: Group,
) -> None:
    group.session_seconds = 60
    worker = group.worker("messages.1")
    worker.start()
    await wait_ready(worker)
    await group.send(400)
    await group.verify()
    worker.kill()
    await group.send(400)
    worker.start()
    # 3 s on a machine that does nothing else.
    await group.wait_effects(seconds=30)
    await group.verify()


async def test_static_member_when_told_to_stop_stays_in_its_group(group: Group) -> None:
    group.session_seconds = 60
    worker = group.worker("messages.1")
    worker.start()
    await wait_ready(worker)
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 20) == 0
    assert await group.members() == 1


async def test_worker_whose_commits_stall_ends_itself_to_be_restarted(group: Group) -> None:
    stalled = group.worker(module="tests.support.stalled_worker")
    stalled.start()
    await wait_ready(stalled)
    await group.send(40)
    assert await asyncio.to_thread(stalled.wait, 40) == 70
    assert "CommitsStalled" in stalled.log_text()
    await group.start()
    await group.verify()
