"""A whole Hubbub whose processes are started again when they end, as any supervisor does."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from dev.errors import ChildError
from dev.processes import Process, get_status
from dev.redis_proxy import RedisProxy
from dev.servers import KafkaCluster, Server
from tests.chaos.tally import Tally
from tests.support.stack import Stack

PROCESSES: Final = (
    "web.1", "web.2", "messages.1", "messages.2", "activity.1", "reactions.1", "notifications.1"
)  # fmt: skip
GATEWAYS: Final = ("web.1", "web.2")
SESSION_SECONDS: Final = 6
RESTART_SECONDS: Final = 0.3
READY_SECONDS: Final = 120.0
RIGHT_ENDS: Final = frozenset((0, 70, -9))
"""In good order; to be started again (docs/failure.md); killed, by us."""


class Cluster:
    """The processes, the servers, and the proxy between the gateways and Redis."""

    def __init__(self, stack: Stack, tally: Tally, brokers: KafkaCluster | None) -> None:
        self.stack = stack
        self.brokers = brokers
        self.proxy = RedisProxy(stack.redis.port)
        self.processes: dict[str, Process] = {}
        self.held: set[str] = set()
        """Who is not to be started again now."""
        self.restarts: Counter[str] = Counter()
        self.tally = tally
        self._copy = stack.folder / "redis-copy"
        self._watching: asyncio.Task[None] | None = None

    @property
    def gateways(self) -> list[str]:
        """The addresses of the gateways."""
        return [self.processes[name].url for name in GATEWAYS]

    def count_logged(self, event: str) -> int:
        """How often the processes have logged an event."""
        return sum(process.log_text().count(f'"{event}"') for process in self.processes.values())

    async def start(self) -> None:
        """Start everything; return when it is ready."""
        await self.proxy.start()
        for name in PROCESSES:
            environment = {"HUBBUB_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS)}
            if name in GATEWAYS:
                environment["REDIS_PORT"] = str(self.proxy.port)
            elif not name.startswith("messages"):
                # Static members, who are waited for; of the messages' one takes over from another.
                environment["HUBBUB_INSTANCE"] = name
            self.processes[name] = self.stack.process(name, **environment)
        for process in self.processes.values():
            process.start()
        for process in self.processes.values():
            await asyncio.to_thread(process.wait_ready, timeout_seconds=90)
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Kill everything that was started here."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        self.stack.stop_processes()
        await self.proxy.stop()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(RESTART_SECONDS)
            for name, process in self.processes.items():
                if name not in self.held and not process.is_running:
                    status = process.popen.returncode
                    if status not in RIGHT_ENDS:
                        self.tally.complain("process", f"{name} ended with {status}")
                    self.restarts[f"{name} ({status})"] += 1
                    process.kill()  # What it may have started, too.
                    process.start()

    # Servers

    async def bring_back(self, server: Server) -> None:
        """Start a server that was stopped or killed; return when it answers."""
        server.launch()  # By this thread, with which it ends.
        await asyncio.to_thread(server.wait_answers, READY_SECONDS)

    def copy_redis(self) -> None:
        """Keep what Redis has on its disk now."""
        self.stack.redis.copy_data(self._copy)

    async def roll_redis_back(self) -> None:
        """Let Redis come back with what it had at the last copy."""
        self.stack.redis.kill_and_replace_data(self._copy)
        await self.bring_back(self.stack.redis)

    # Processes

    async def restart(self, name: str) -> None:
        """Stop a process in good order and start it again; return when it is ready."""
        process = self.processes[name]
        self.held.add(name)
        try:
            process.terminate()
            with contextlib.suppress(ChildError):
                await asyncio.to_thread(process.wait, 30)
            if process.is_running:
                self.tally.complain("process", f"{name} did not stop within 30 s")
            process.kill()
            process.start()
        finally:
            self.held.discard(name)
        # It may be killed by another fault meanwhile, and started again.
        deadline = time.monotonic() + READY_SECONDS
        while await asyncio.to_thread(get_status, process.port, "/readyz") != 200:
            if time.monotonic() > deadline:
                self.tally.complain("process", f"{name} was not ready again")
                return
            await asyncio.sleep(0.1)

    async def roll(self, names: Sequence[str] = PROCESSES) -> None:
        """Restart one process after the other."""
        for name in names:
            await self.restart(name)


@contextlib.asynccontextmanager
async def running_cluster(
    folder: Path, tally: Tally, *, has_three_brokers: bool = False
) -> AsyncIterator[Cluster]:
    """Start servers and processes of a run's own; stop them all."""
    stack = Stack(folder)
    brokers = KafkaCluster(folder / "brokers") if has_three_brokers else None
    if brokers is not None:
        stack.settings = brokers.environment
    kafka = stack.kafka if brokers is None else brokers
    cluster = Cluster(stack, tally, brokers)
    servers = (kafka, stack.redis, stack.mongodb)
    try:
        for server in servers:
            server.launch()
        for server in servers:
            await asyncio.to_thread(server.wait_answers)
        await asyncio.to_thread(stack.release)
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()
        for server in servers:
            server.kill()
