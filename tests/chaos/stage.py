"""A stage for scenarios: a small Hubbub whose processes can be sabotaged and held."""

import asyncio
import random
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from app.clients import stop_consumer
from app.lag import read_lags
from app.topics import MESSAGES
from dev.processes import Process
from dev.redis_proxy import RedisProxy
from tests.chaos.follower import Follower
from tests.chaos.oracle import Oracle, Servers
from tests.chaos.posters import Poster
from tests.chaos.sabotage import HOLDS_VARIABLE, SABOTAGE_VARIABLE
from tests.chaos.tally import Tally
from tests.support.stack import Stack
from tests.support.waiting import until

SESSION_SECONDS: Final = 4
PARTITIONS: Final = 4
PATIENCE_SECONDS: Final = 60.0
SHORT_PATIENCE_SECONDS: Final = 4.0
"""What a sabotaged scenario gets to put itself right: twice what a sound one needs."""


class Stage:
    """Servers of its own, and processes that are started as the next scenario wants them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.proxy = RedisProxy(stack.redis.port)
        self.holds = stack.folder / "holds"
        self.holds.mkdir()
        self._processes: dict[str, tuple[str, Process]] = {}

    def process(self, name: str) -> Process:
        """A process that was asked for."""
        return self._processes[name][1]

    async def have(self, *names: str, sabotage: str = "", alone: bool = False) -> None:
        """Return when these processes run, with this switched off; `alone`: and no others."""
        if alone:
            for name in self._processes.keys() - set(names):
                self.kill(name)
        started = [self._start(name, sabotage) for name in names]
        for process in started:
            if process is not None:
                await asyncio.to_thread(process.wait_ready, timeout_seconds=60)

    def _start(self, name: str, sabotage: str) -> Process | None:
        held = self._processes.get(name)
        if held is not None and held[0] == sabotage and held[1].is_running:
            return None
        self.kill(name)
        kind = name.partition(".")[0]
        environment = {
            **self.stack.environment,
            SABOTAGE_VARIABLE: sabotage,
            HOLDS_VARIABLE: str(self.holds),
            "HUBBUB_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
        }
        if kind == "web":
            environment["REDIS_PORT"] = str(self.proxy.port)
        elif name.endswith(".1"):
            environment["HUBBUB_INSTANCE"] = name
        module = ["web"] if kind == "web" else ["agents", kind]
        process = Process(
            name,
            ["python", "-m", "tests.chaos.sabotaged_process", *module],
            environment=environment,
            folder=self.stack.folder,
        )
        self._processes[name] = sabotage, process
        process.start()
        return process

    def kill(self, name: str) -> None:
        """Kill a process, if it runs."""
        held = self._processes.pop(name, None)
        if held is not None:
            held[1].kill()

    def kill_all(self) -> None:
        """Kill every process."""
        for name in list(self._processes):
            self.kill(name)

    async def until_committed(self, seconds: float = 60.0) -> bool:
        """Wait until the messages' group has committed everything; return whether it has."""
        bootstrap = self.stack.kafka.address
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        reader = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        deadline = time.monotonic() + seconds
        async with AsyncExitStack() as opened:
            await admin.start()
            opened.push_async_callback(admin.close)
            await reader.start()
            opened.push_async_callback(stop_consumer, reader)
            while time.monotonic() < deadline:
                lags = await read_lags(admin, reader, MESSAGES, PARTITIONS)
                if not any(each.lag for each in lags):
                    return True
                await asyncio.sleep(0.2)
        return False

    # Holds

    def hold(self, place: str) -> None:
        """Whoever comes to `place` from now on waits there."""
        (self.holds / place).touch()

    def release(self, place: str) -> None:
        """Let those who wait go on."""
        (self.holds / place).unlink(missing_ok=True)

    async def until_held(self, place: str, name: str) -> None:
        """Return when that process waits at `place`."""
        mark = self.holds / f"{place}.{self.process(name).pid}"
        await until(mark.exists)
        mark.unlink()


class Scene:
    """One scenario on a stage: its channel, its people, its oracle."""

    def __init__(self, stage: Stage, channel: str, sabotage: str) -> None:
        self.stage = stage
        self.channel = channel
        self.sabotage = sabotage
        self.tally = Tally()
        self.oracle = Oracle(self.tally)
        self.followers: list[Follower] = []
        self._posters: list[Poster] = []

    async def follower(self, name: str = "follower", gateway: str = "web.1") -> Follower:
        """Somebody who follows the channel at one gateway, and is there."""
        follower = Follower(
            f"{self.channel}-{name}", [self.channel], [self.stage.process(gateway).url],
            self.tally, random.Random(1),
        )  # fmt: skip
        self.followers.append(follower)
        await follower.start()
        await until(lambda: follower.is_complete)
        return follower

    async def poster(self, name: str = "poster", gateway: str = "web.1") -> Poster:
        """Somebody who writes by one gateway."""
        poster = Poster(
            f"{self.channel}-{name}", [self.channel], [self.stage.process(gateway).url],
            self.oracle, random.Random(1), a_second=1,
        )  # fmt: skip
        self._posters.append(poster)
        await poster.open()
        return poster

    async def until_came(self, follower: Follower, message_id: str, rev: int = 1) -> None:
        """Return when the follower knows a message in this rev."""
        view = follower.views[self.channel]
        await until(lambda: message_id in view.messages and view.messages[message_id].rev >= rev)

    def servers(self) -> Servers:
        """The servers, to be asked and closed."""
        stack = self.stage.stack
        return Servers(stack.mongodb.environment["MONGODB_URI"], stack.redis.port)

    async def end(self, *, unread_of: Sequence[Poster] = ()) -> Tally:
        """Wait until everything is as it should be, or patience ends; judge."""
        patience = SHORT_PATIENCE_SECONDS if self.sabotage else PATIENCE_SECONDS
        deadline = time.monotonic() + patience
        servers = self.servers()
        try:
            while time.monotonic() < deadline and self.tally.is_clean:
                trial = await self._judge(servers, unread_of)
                if trial.is_clean and all(follower.is_complete for follower in self.followers):
                    break
                await asyncio.sleep(0.2)
            last = await self._judge(servers, unread_of)
        finally:
            servers.close()
        self.tally.complaints.update(last.complaints)
        self.tally.details.extend(last.details)
        return self.tally

    async def _judge(self, servers: Servers, unread_of: Sequence[Poster]) -> Tally:
        trial = Oracle(Tally())
        trial.messages, trial.marked = self.oracle.messages, self.oracle.marked
        try:
            await asyncio.to_thread(trial.judge_channel, servers, self.channel, self.followers)
        except (PyMongoError, RedisError) as error:
            trial.tally.complain("differs", f"a server does not answer: {error!r}")
        for poster in unread_of:
            channels = [each for each in await poster.unread() if each["channelId"] == self.channel]
            trial.judge_unread(poster.name, channels, {self.channel: len(self.oracle.messages)})
        return trial.tally

    async def close(self) -> None:
        """Everybody goes home."""
        for follower in self.followers:
            await follower.stop()
        for poster in self._posters:
            await poster.close()


@asynccontextmanager
async def running_scene(stage: Stage, channel: str, sabotage: str) -> AsyncIterator[Scene]:
    """Give a scenario its scene; nothing is held or dropped after it."""
    scene = Scene(stage, channel, sabotage)
    await stage.proxy.start()
    try:
        yield scene
    finally:
        await scene.close()
        await stage.proxy.stop()
        stage.proxy.is_dropped = lambda: False
        shutil.rmtree(stage.holds)
        stage.holds.mkdir()


async def roll_redis_back(stage: Stage, folder: Path) -> None:
    """Let Redis come back with what was kept in `folder`."""
    redis = stage.stack.redis
    redis.kill_and_replace_data(folder)
    redis.launch()
    await asyncio.to_thread(redis.wait_answers)
