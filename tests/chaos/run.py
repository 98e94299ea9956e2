"""A run: people write, clients follow, things break, and in the end everything is compared."""

import asyncio
import math
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from tests.chaos.cluster import Cluster, running_cluster
from tests.chaos.faults import BURST, FAULTS, Fault, Target
from tests.chaos.follower import Follower
from tests.chaos.oracle import Accepted, Oracle, Servers
from tests.chaos.posters import EMOJI, Poster
from tests.chaos.tally import Tally

CHANNELS: Final = ("ops", "news", "lobby", "general")
"""One in each partition of the topics."""
POSTERS: Final = 4
A_SECOND: Final = 5.0
"""What each poster does."""
FAULT_EVERY_SECONDS: Final = 5.0
SETTLE_SECONDS: Final = 240.0
"""How long at most everything may take to be as it should be, after the last fault."""
PROBE_SECONDS: Final = 90.0


@dataclass(slots=True)
class Hit:
    """A fault that was done: when, for how long, and when all was well again after it."""

    name: str
    at: float
    held_seconds: float = 0.0
    recovery_seconds: float | None = None


@dataclass
class Result:
    """What a run came to."""

    seed: int
    tally: Tally
    hits: list[Hit] = field(default_factory=list)
    restarts: dict[str, int] = field(default_factory=dict)
    published_dropped: int = 0
    slow_dropped: int = 0
    settle_seconds: float = 0.0
    unsettled: str = ""
    expected_deliveries: int = 0


class Run:
    """One seeded run on a cluster."""

    def __init__(
        self, cluster: Cluster, seed: int, tally: Tally, say: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._rng = random.Random(seed)
        self._tally = tally
        self._say = say
        self._oracle = Oracle(tally)
        self._result = Result(seed, tally)
        self._followers = self._make_followers()
        self._slow = self._follower("slow", [BURST], ("ws",), is_slow=True)
        self._observers = [
            Follower(f"observer{n}", CHANNELS, [url], tally, self._fork())
            for n, url in enumerate(cluster.gateways)
        ]
        self._posters = [
            Poster(f"poster{n}", CHANNELS, cluster.gateways, self._oracle, self._fork(),
                   a_second=A_SECOND)
            for n in range(POSTERS)
        ]  # fmt: skip
        self._prober = Poster("prober", CHANNELS, cluster.gateways, self._oracle, self._fork(),
                              a_second=1)  # fmt: skip
        self._began = time.monotonic()
        self._busy: set[str] = set()
        self._probing: set[asyncio.Task[None]] = set()

    def _fork(self) -> random.Random:
        return random.Random(self._rng.random())

    def _follower(
        self,
        name: str,
        channels: Sequence[str],
        transports: Sequence[str],
        *,
        is_slow: bool = False,
    ) -> Follower:
        return Follower(
            name, channels, self._cluster.gateways, self._tally, self._fork(),
            transports=transports, is_slow=is_slow,
        )  # fmt: skip

    def _make_followers(self) -> list[Follower]:
        kinds = (("ws",), ("sse",), ("ws", "sse"))
        return [
            self._follower(f"follower{n}", CHANNELS[: 2 + n % 3], kinds[n % 3]) for n in range(12)
        ]

    @property
    def _everyone(self) -> list[Follower]:
        return [*self._followers, self._slow, *self._observers]

    async def run(self, seconds: float | None, faults: Sequence[Fault] = FAULTS) -> Result:
        """Let things go wrong for so long (None: each of `faults` once), let everything settle, and
        judge."""
        async with AsyncExitStack() as stack:
            for follower in self._everyone:
                await follower.start()
                stack.push_async_callback(follower.stop)
            for poster in (*self._posters, self._prober):
                await poster.open()
                stack.push_async_callback(poster.close)
            tasks = [asyncio.create_task(poster.run()) for poster in self._posters]
            tasks += [
                asyncio.create_task(self._interrupt(follower)) for follower in self._followers
            ]
            tasks += [asyncio.create_task(self._read_now_and_then(p)) for p in self._posters]
            tasks.append(asyncio.create_task(self._show_progress()))
            try:
                await self._break_things(seconds, faults)
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:
                if isinstance(error, Exception):
                    raise error
            self._say("quiet: nothing breaks any more, all that was accepted must arrive")
            await self._settle()
            await self._judge()
        self._result.restarts = dict(self._cluster.restarts)
        self._result.published_dropped = self._cluster.proxy.dropped_count
        self._result.slow_dropped = self._cluster.count_logged("slow_consumer_dropped")
        return self._result

    # Things that happen

    async def _break_things(self, seconds: float | None, faults: Sequence[Fault]) -> None:
        rng = self._fork()
        target = Target(self._cluster, self._slow, self._prober, rng, self._measure_delivery)
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        waiting = rng.sample(list(faults), len(faults))
        hitting: set[asyncio.Task[None]] = set()
        while time.monotonic() < deadline and (seconds is not None or waiting):
            await asyncio.sleep(FAULT_EVERY_SECONDS * rng.uniform(0.6, 1.4))
            if not waiting:
                waiting = rng.sample(list(faults), len(faults))
            fault = next((each for each in waiting if each.place not in self._busy), None)
            if fault is not None:
                waiting.remove(fault)
                self._busy.add(fault.place)
                task = asyncio.create_task(self._hit(fault, target))
                hitting.add(task)
        await asyncio.gather(*hitting)
        if self._probing:
            await asyncio.wait(self._probing)

    async def _hit(self, fault: Fault, target: Target) -> None:
        hit = Hit(fault.name, time.monotonic() - self._began)
        self._result.hits.append(hit)
        self._say(f"hit: {fault.name}")
        began = time.monotonic()
        try:
            await fault.hit(target)
        finally:
            self._busy.discard(fault.place)
        hit.held_seconds = time.monotonic() - began
        probe = asyncio.create_task(self._probe(hit))
        self._probing.add(probe)
        probe.add_done_callback(self._probing.discard)

    async def _probe(self, hit: Hit) -> None:
        hit.recovery_seconds = await self._measure_delivery()

    async def _measure_delivery(self) -> float | None:
        """Measure until messages that are sent now, one by each partition, and a reaction to each
        are with the observers at both gateways."""
        began = time.monotonic()
        probes = await asyncio.gather(*map(self._send_probe, CHANNELS))
        while time.monotonic() - began < PROBE_SECONDS:
            if all(self._is_everywhere(probe) for probe in probes):
                return time.monotonic() - began
            await asyncio.sleep(0.05)
        return None

    async def _send_probe(self, channel_id: str) -> Accepted:
        probe = await self._prober.send(channel_id)
        await self._prober.react(probe, EMOJI[0])
        return probe

    def _is_everywhere(self, probe: Accepted) -> bool:
        known = [each.views[probe.channel_id].messages.get(probe.id) for each in self._observers]
        return all(each is not None and each.rev > 1 for each in known)

    async def _interrupt(self, follower: Follower) -> None:
        rng = self._fork()
        while True:
            await asyncio.sleep(rng.uniform(4, 20))
            # Most are back at once, some only after a walk.
            follower.interrupt(rng.choice((0.0, 0.5, 2.0, 15.0)))

    async def _read_now_and_then(self, poster: Poster) -> None:
        rng = self._fork()
        reader = self._followers[-1]
        while True:
            await asyncio.sleep(rng.uniform(1, 4))
            channel_id = rng.choice(tuple(reader.views))
            position = reader.views[channel_id].position
            if position is not None and position.number and self._is_known(channel_id):
                poster.begin(poster.mark_read(channel_id, position.number))

    def _is_known(self, channel_id: str) -> bool:
        return any(each.channel_id == channel_id for each in self._oracle.messages.values())

    async def _show_progress(self) -> None:
        while True:
            await asyncio.sleep(5)
            tally = self._tally
            self._say(
                f"sent {tally.sent:,}, accepted {tally.accepted:,}, changes {tally.changes:,}, "
                f"delivered {tally.delivered:,}, complaints {sum(tally.complaints.values())}"
            )

    # The end

    async def _settle(self) -> None:
        servers, began = self._ask_servers(), time.monotonic()
        try:
            while time.monotonic() - began < SETTLE_SECONDS:
                waits_for = await self._waits_for(servers)
                if not waits_for:
                    break
                self._result.unsettled = waits_for
                await asyncio.sleep(0.5)
            else:
                return
        finally:
            servers.close()
        self._result.unsettled = ""
        self._result.settle_seconds = time.monotonic() - began

    async def _waits_for(self, servers: Servers) -> str:
        busy = [poster.name for poster in (*self._posters, self._prober) if not poster.is_idle]
        if busy:
            return f"{', '.join(busy)} not answered yet"
        try:
            documents = await asyncio.to_thread(servers.documents)
        except (PyMongoError, RedisError) as error:
            return f"a server does not answer: {type(error).__name__}"
        waits_for = self._oracle.is_settled(documents, self._everyone)
        if waits_for:
            return waits_for
        return "" if await self._unread_is_settled() else "unread counts"

    async def _unread_is_settled(self) -> bool:
        return not await self._judge_unread(Oracle(Tally()))

    async def _judge_unread(self, oracle: Oracle) -> bool:
        """Complain to `oracle` of unread counts; return whether there was a complaint."""
        oracle.marked = self._oracle.marked
        highest: dict[str, int] = {}
        for message in self._oracle.messages.values():
            highest[message.channel_id] = highest.get(message.channel_id, 0) + 1
        for poster in self._posters:
            oracle.judge_unread(poster.name, await poster.unread(), highest)
        return not oracle.tally.is_clean

    async def _judge(self) -> None:
        servers = self._ask_servers()
        try:
            await asyncio.to_thread(self._oracle.judge, servers, self._everyone)
        finally:
            servers.close()
        await self._judge_unread(self._oracle)
        count_by_channel: dict[str, int] = {}
        for message in self._oracle.messages.values():
            count_by_channel[message.channel_id] = count_by_channel.get(message.channel_id, 0) + 1
        self._result.expected_deliveries = sum(
            count_by_channel.get(channel_id, 0)
            for follower in self._everyone
            for channel_id in follower.views
        )
        for hit in self._result.hits:
            if hit.recovery_seconds is None:
                self._say(f"not recovered within {PROBE_SECONDS:g} s: {hit.name}")

    def _ask_servers(self) -> Servers:
        stack = self._cluster.stack
        return Servers(stack.mongodb.environment["MONGODB_URI"], stack.redis.port)


async def run_chaos(
    folder: Path,
    seed: int,
    seconds: float | None,
    say: Callable[[str], None],
    faults: Sequence[Fault] = FAULTS,
    *,
    has_three_brokers: bool = False,
) -> Result:
    """Start a cluster of its own in `folder`, run, stop it."""
    tally = Tally(say=say)
    async with running_cluster(folder, tally, has_three_brokers=has_three_brokers) as cluster:
        return await Run(cluster, seed, tally, say).run(seconds, faults)
