"""The kinds of load: in a closed loop, by a timetable, a backlog, idle clients, a storm."""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from bench.load.dialects import DIALECTS
from bench.load.odd import Odd
from bench.load.posters import Poster
from bench.load.processes import read_cpu_seconds
from bench.load.subscribers import Subscribers
from bench.load.tally import Tally, percentile
from bench.load.window import Window, describe

DRAIN_SECONDS: Final = 15.0
"""How long deliveries are waited for after the last post."""
REST_SECONDS: Final = 10.0
"""The longest wait for a contestant and the servers to come to rest."""
_IDLE_CORES: Final = 0.3
_LOOK_SECONDS: Final = 0.25
_PAUSE_SECONDS: Final = 0.002


@dataclass(frozen=True, slots=True)
class Spec:
    """What is to be done: read as JSON from standard input."""

    mode: str
    dialect: str
    port: int
    prefix: str
    """Of the channels' names: a run's own."""
    pids: dict[str, int] = field(default_factory=dict)
    """The processes whose CPU is measured, by name."""
    connections: int = 1
    channels: int = 1
    posters: int = 64
    rate: float = 0
    """Posts a second of an open loop."""
    most_in_flight: int = 0
    """Messages sent and not yet delivered to all; 0: no bound."""
    messages: int = 0
    """Posted in a backlog."""
    senders: int = 64
    """Users who post."""
    is_stalled: bool = False
    """Whether the odd client reads nothing."""
    warm_seconds: float = 0.5
    seconds: float = 2.5


class Load:
    """One run."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.tally = Tally()
        self.subscribers = Subscribers(
            spec.port,
            DIALECTS[spec.dialect],
            self.tally,
            count=spec.connections,
            channels=spec.channels,
            prefix=spec.prefix,
        )
        self.posters = [
            Poster(spec.port, number, f"poster-{number % spec.senders}", self.tally)
            for number in range(spec.posters)
        ]
        self.window = Window(self.tally, spec.pids)
        self._is_over = False

    async def run(self) -> dict[str, Any]:
        """Run it; return what it came to."""
        for poster in self.posters:
            await poster.connect()
        await getattr(self, f"_{self.spec.mode}")()
        result = describe(self.window, self.tally, self.subscribers)
        self.subscribers.close()
        for poster in self.posters:
            poster.close()
        return result

    async def _settle(self) -> None:
        """Connect everybody, and wait until the joins have had their effects."""
        await self.subscribers.connect()
        await self._rest()

    async def _rest(self) -> None:
        deadline = time.perf_counter() + REST_SECONDS
        used = _IDLE_CORES
        while used >= _IDLE_CORES and time.perf_counter() < deadline:
            before = sum(read_cpu_seconds(self.spec.pids).values())
            await asyncio.sleep(_LOOK_SECONDS)
            used = (sum(read_cpu_seconds(self.spec.pids).values()) - before) / _LOOK_SECONDS

    # Closed loop: each poster posts again when it has been answered.

    async def _closed(self) -> None:
        await self._settle()
        tasks = [asyncio.create_task(self._post_on(poster)) for poster in self.posters]
        await self._measure()
        await asyncio.gather(*tasks)
        await self._drain()

    async def _post_on(self, poster: Poster) -> None:
        channel = poster.number
        while not self._is_over:
            if self._is_full():
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            channel = (channel + 1) % self.spec.channels
            await poster.post(channel, self.subscribers.name(channel))

    def _is_full(self) -> bool:
        bound = self.spec.most_in_flight
        sent = len(self.tally.sent_at)
        return bool(bound) and sent - self.tally.delivered / self.spec.connections >= bound

    async def _measure(self) -> None:
        await asyncio.sleep(self.spec.warm_seconds)
        self.window.open()
        await asyncio.sleep(self.spec.seconds)
        self.window.close()
        self._is_over = True

    async def _drain(self) -> None:
        clients = self.spec.connections / self.spec.channels
        wanted = int(len(self.tally.accepted_at) * clients)
        began = time.perf_counter()
        quiet_seconds = self.subscribers.dialect.quiet_seconds

        def is_over() -> bool:
            last_at = max(began, self.tally.last_at)
            is_quiet = time.perf_counter() - last_at > quiet_seconds
            return is_quiet or self.tally.delivered >= wanted

        await self._wait_for(is_over)
        await asyncio.sleep(0.1)  # What is delivered twice comes behind.

    async def _wait_for(
        self, condition: Callable[[], bool], most_seconds: float = DRAIN_SECONDS
    ) -> bool:
        deadline = time.perf_counter() + most_seconds
        # No event: it would be set a million times a second.
        while not condition() and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE_SECONDS)
        return condition()

    # Open loop: posts by a timetable, whatever the server does.

    async def _open(self) -> None:
        await self._settle()
        timetable = asyncio.create_task(self._post_by_timetable())
        await self._measure()
        late = await timetable
        await self._drain()
        late_ms = percentile(late, 0.99) or 0.0
        self.window.values["late_p99_ms"] = late_ms * 1000

    # The same, while one more client in a channel of its own is given more than anybody could read.

    async def _beside(self) -> None:
        spec = self.spec
        odd = Odd(
            spec.port, DIALECTS[spec.dialect], f"{spec.prefix}-odd", is_stalled=spec.is_stalled
        )
        await odd.connect()
        await self._settle()
        timetable = asyncio.create_task(self._post_by_timetable())
        odd.flood()
        await self._measure()
        is_cut_off = await odd.close()
        await timetable
        await self._drain()
        self.window.values["odd_cut_off"] = is_cut_off

    async def _post_by_timetable(self) -> list[float]:
        """Return how late each post was, in seconds."""
        idle = list(self.posters)
        running: set[asyncio.Task[None]] = set()
        late = []
        begin = time.perf_counter()
        number = 0

        async def post(poster: Poster, channel: int) -> None:
            await poster.post(channel, self.subscribers.name(channel))
            idle.append(poster)

        while not self._is_over:
            due = begin + number / self.spec.rate
            now = time.perf_counter()
            if now < due:
                await asyncio.sleep(due - now)
                continue
            if not idle:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            late.append(now - due)
            task = asyncio.create_task(post(idle.pop(), number % self.spec.channels))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
        await asyncio.gather(*running)
        return late

    # A backlog: posted while nothing consumes, delivered when something does.

    async def _backlog(self) -> None:
        await self._settle()
        left = iter(range(self.spec.messages))

        async def work(poster: Poster) -> None:
            for _ in left:
                await poster.post(0, self.subscribers.name(0))

        await asyncio.gather(*(work(poster) for poster in self.posters))
        say("posted")
        # Whoever consumes is another process now.
        self.window.watch(orjson.loads(sys.stdin.buffer.readline()))
        before = self.tally.delivered
        await self._wait_for(lambda: self.tally.delivered > before, 30)
        self.window.open()
        await self._drain_backlog()
        self.window.close()
        seconds = self.tally.last_at - self.tally.first_at
        self.window.values["first_at"] = self.tally.first_at
        self.window.values["drained_per_s"] = self.tally.delivered / seconds if seconds else 0.0

    async def _drain_backlog(self) -> None:
        wanted = len(self.tally.accepted_at) * self.spec.connections
        await self._wait_for(lambda: self.tally.delivered >= wanted, 60)

    # Idle clients, in a channel each.

    async def _idle(self) -> None:
        self.window.open()
        begin = time.perf_counter()
        await self.subscribers.connect()
        took = time.perf_counter() - begin
        self.window.close()
        joined_cpu = self.window.values["cpu_s"]
        await self._rest()
        self.window.close()  # Memory, with all that the joins have brought about.
        self.window.values |= {
            "joined_per_s": self.spec.connections / took,
            "cpu_s": joined_cpu,
        }

    # A storm: everybody is cut off at once, and comes back at once.

    async def _storm(self) -> None:
        await self._settle()
        timetable = asyncio.create_task(self._post_by_timetable())
        await asyncio.sleep(self.spec.warm_seconds)
        self.window.open()
        await asyncio.sleep(1)
        dropped = time.perf_counter()
        for subscriber in self.subscribers.all:
            subscriber.drop()
        await asyncio.sleep(_PAUSE_SECONDS)  # The ends of the old connections are told first.
        await self.subscribers.connect()
        back = time.perf_counter()
        sent = sum(at < back for at in self.tally.sent_at)
        resumes = self.subscribers.dialect.resumes
        caught_up = resumes and await self._wait_for(lambda: self._have_all(sent), 10)
        caught_up_at = time.perf_counter()
        await asyncio.sleep(self.spec.seconds)
        self.window.close()
        self._is_over = True
        await timetable
        await self._drain()
        self.window.values |= {
            "all_back_ms": (back - dropped) * 1000,
            "caught_up_ms": (caught_up_at - dropped) * 1000 if caught_up else None,
        }

    def _have_all(self, sent: int) -> bool:
        return self.tally.delivered >= sent * self.spec.connections


def say(word: str) -> None:
    """Tell the harness how far it is."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
