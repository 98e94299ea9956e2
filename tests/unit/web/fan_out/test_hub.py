"""The hub's sequencing: whatever pub/sub does, each follower gets each event once, in order."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError

from app.archive.history import History
from app.keys import StreamKey, channel_stream
from app.settings import Settings
from app.stream_log.cursor import Position
from app.stream_log.log import StreamLog
from web.fan_out.connection import Connection
from web.fan_out.frames import Batch
from web.fan_out.hub import Hub
from web.fan_out.stream import Stream

STREAM = channel_stream("c1")
LIVE = STREAM.live.encode()


class FakeLog:
    """A stream log in memory: what Redis would answer, late or not at all."""

    def __init__(self) -> None:
        self.restarts = 0
        self.frames: list[bytes] = []
        self.kept = 1000
        self.is_down = False

    @property
    def epoch(self) -> str:
        return f"{self.restarts:08x}"

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise RedisConnectionError("down")

    def publish(self, count: int) -> bytes:
        first = len(self.frames) + 1
        epoch = self.epoch
        for seq in range(first, first + count):
            self.frames.append(b'{"type":"m","seq":%d,"cursor":"%b.%d.%d.1"}' % (
                seq, epoch.encode(), seq, seq
            ))  # fmt: skip
        return b"%b %d\n" % (epoch.encode(), first) + b"\n".join(self.frames[first - 1 :])

    def restart(self) -> None:
        self.restarts += 1
        self.frames.clear()

    async def position(self, _: StreamKey) -> Position:
        await self._answer()
        return Position(self.epoch, len(self.frames), len(self.frames))

    async def positions(self, streams: Sequence[StreamKey]) -> list[Position | None]:
        return [await self.position(stream) for stream in streams]

    async def read(
        self, _: StreamKey, epoch: str, after: int, count: int = 100
    ) -> list[bytes] | None:
        await self._answer()
        gone = len(self.frames) - self.kept
        if epoch != self.epoch or after > len(self.frames) or after < gone:
            return None
        found = self.frames[after : after + count]
        # Answers travel: what is published now is not in this one.
        await asyncio.sleep(0)
        return found


class Follower:
    """A connection that keeps what it is given."""

    is_closed = False
    is_crowded = False

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def deliver(self, _: Stream, batch: Batch) -> None:
        self.payloads += batch.payloads


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 130)),
        st.tuples(st.just("drop"), st.integers(1, 5)),
        st.tuples(st.just("again"), st.integers(0, 50)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("trim"), st.integers(0, 20)),
        st.tuples(st.just("down"), st.integers(0, 1)),
        st.tuples(st.just("regain"), st.just(0)),
        st.tuples(st.just("hold"), st.integers(1, 3)),
        st.tuples(st.just("release"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(steps)
def test_any_interleaving_gives_each_follower_each_event_once_in_order(
    steps: list[tuple[str, int]],
) -> None:
    asyncio.run(_run(steps))


async def _run(steps: list[tuple[str, int]]) -> None:
    hub, log, stream, follower = make()
    payloads: list[bytes] = []
    held: list[bytes] = []

    def hear(payload: bytes) -> None:
        hub.feed.receive(LIVE, payload)
        hub.feed.end_read()

    for what, amount in steps:
        if what == "publish":
            payloads.append(log.publish(amount))
            hear(payloads[-1])
        elif what == "drop":
            payloads.append(log.publish(amount))
        elif what == "again" and payloads:
            hear(payloads[amount % len(payloads)])
        elif what == "hold":
            held.append(log.publish(amount))
        elif what == "release":
            while held:
                hear(held.pop())
        elif what == "turn":
            for _ in range(amount):
                await asyncio.sleep(0)
        elif what == "restart":
            log.restart()
        elif what == "trim":
            log.kept = amount
        elif what == "down":
            log.is_down = bool(amount)
        elif what == "regain":
            hub.feed.lose()
            hub.feed.regain()
    # In the end Redis answers and the position check comes round.
    log.is_down = False
    log.kept = 1000
    await hub.mender.refresh(stream)
    await finish(hub)
    await hub.mender.refresh(stream)
    assert (stream.epoch, stream.seq) == (log.epoch, len(log.frames))
    _check(follower.payloads, log)


def _check(payloads: list[bytes], log: FakeLog) -> None:
    """Every event follows the one before, but for a `resync`, which names where it goes on."""
    epoch, seq = FakeLog().epoch, 0
    for payload in payloads:
        fields: dict[str, Any] = orjson.loads(payload)
        its_epoch, its_seq, *_ = fields["cursor"].split(".")
        if fields["type"] == "resync":
            assert (its_epoch, int(its_seq)) != (epoch, seq)
        else:
            assert (its_epoch, int(its_seq)) == (epoch, seq + 1)
        epoch, seq = its_epoch, int(its_seq)
    assert (epoch, seq) == (log.epoch, len(log.frames))


def make() -> tuple[Hub, FakeLog, Stream, Follower]:
    log = FakeLog()
    hub = Hub(Settings(), cast(StreamLog, log), cast(History, None))
    stream = hub._streams[LIVE] = Stream(STREAM)
    stream.place(Position(log.epoch, 0, 0))
    follower = Follower()
    stream.followers.add(cast(Connection, follower))
    return hub, log, stream, follower


async def finish(hub: Hub) -> None:
    if hub._tasks:
        await asyncio.wait(tuple(hub._tasks))


async def test_late_payload_while_a_hole_is_filled_is_not_given_out_twice() -> None:
    hub, log, _, follower = make()
    late = log.publish(1)
    hub.feed.receive(LIVE, log.publish(1))
    await asyncio.sleep(0)  # The log is being read.
    hub.feed.receive(LIVE, late)
    hub.feed.end_read()
    await finish(hub)
    _check(follower.payloads, log)


async def test_payload_heard_while_a_hole_is_filled_is_fetched_without_another_sign() -> None:
    hub, log, _, follower = make()
    log.publish(1)
    hub.feed.receive(LIVE, log.publish(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # The log has answered, without what comes now.
    hub.feed.receive(LIVE, log.publish(1))
    hub.feed.end_read()
    await finish(hub)
    _check(follower.payloads, log)


async def test_events_of_one_read_reach_followers_in_one_batch() -> None:
    hub, log, _, follower = make()
    for _ in range(3):
        hub.feed.receive(LIVE, log.publish(2))
    assert follower.payloads == []
    hub.feed.end_read()
    assert len(follower.payloads) == 6


async def test_unlogged_event_keeps_its_place_among_logged_ones() -> None:
    hub, log, _, follower = make()
    hub.feed.receive(LIVE, log.publish(1))
    hub.feed.receive(LIVE, b'{"type":"typing"}')
    hub.feed.receive(LIVE, log.publish(1))
    hub.feed.end_read()
    assert [payload == b'{"type":"typing"}' for payload in follower.payloads] == [
        False, True, False,
    ]  # fmt: skip
