"""A client's way from its cursor to the followers: each event once, in order, whatever it asks."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from app.archive.history import History
from app.keys import StreamKey, channel_stream
from app.settings import Settings
from app.stream_log.cursor import Cursor, Position, position_of
from app.stream_log.log import StreamLog
from web.fan_out.connection import UNKNOWN_ERROR, Connection
from web.fan_out.frames import Batch
from web.fan_out.hub import SLOW_CONSUMER, Hub
from web.fan_out.outbox import Flusher
from web.fan_out.replay import follow
from web.fan_out.resume import Start
from web.fan_out.stream import Stream
from web.identity import User

EPOCH = "aaaaaaaa"
MISSED = 400


class Log:
    """A log that answers, but not at once; or whose answer cannot be understood."""

    is_broken = False

    async def read(self, _: StreamKey, epoch: str, after: int, count: int) -> Sequence[bytes]:
        await asyncio.sleep(0)
        if self.is_broken:
            raise ValueError("no answer")
        seqs = range(after + 1, min(after + count, MISSED) + 1)
        return [
            b'{"type":"m","seq":%d,"cursor":"%b.%d.%d.1"}' % (seq, epoch.encode(), seq, seq)
            for seq in seqs
        ]


class Line(asyncio.Transport):
    """A transport that holds nothing."""

    def get_write_buffer_size(self) -> int:
        return 0


class Client(Connection):
    """A client that takes no page until it is told to."""

    transport_name = "ws"

    def __init__(self, flusher: Flusher) -> None:
        super().__init__(Line(), flusher, User("u1", "Ann"))
        self.seqs: list[int] = []
        self.unlogged: list[bytes] = []
        self.takes = asyncio.Event()
        self.code = 0

    def deliver(self, _: Stream, batch: Batch) -> None:
        if batch.is_ephemeral:
            self.unlogged += batch.payloads
            return
        self.seqs += [position_of(payload).seq for payload in batch.payloads]

    async def drain(self) -> None:
        await self.takes.wait()

    def shut(self, code: int, reason: str = "") -> None:
        self.code, self.is_closed = code, True


class Place:
    """A hub with a channel of 400 events, and a client that has joined it."""

    def __init__(self) -> None:
        self.log = Log()
        self.hub = Hub(Settings(), cast(StreamLog, self.log), cast(History, None))
        self.stream = Stream(channel_stream("c"))
        self.hub._streams[self.stream.name] = self.stream
        self.stream.place(Position(EPOCH, MISSED, MISSED))
        self.client = Client(self.hub.flusher)

    def follow_from(self, seq: int) -> None:
        """Follow the channel from a cursor."""
        cursor = Cursor(Position(EPOCH, seq, seq), 1)
        follow(self.hub, self.client, [Start(self.stream, cursor, "log")])

    async def wait_for_page(self) -> None:
        """Return when a page is on its way that the client has not taken."""
        async with asyncio.timeout(30):
            while not self.client.seqs:
                await asyncio.sleep(0)

    async def finish(self) -> None:
        """Let the client take everything, and return when no replay runs any more."""
        self.client.takes.set()
        await asyncio.wait(tuple(self.hub._tasks), timeout=30)


async def test_replay_when_left_and_joined_again_gives_each_event_once() -> None:
    place = Place()
    place.follow_from(0)
    await place.wait_for_page()
    place.hub.leave(place.stream, place.client)
    place.client.seqs.clear()
    place.follow_from(0)
    await asyncio.sleep(0.01)
    await place.finish()
    assert place.client.seqs == list(range(1, MISSED + 1))
    assert place.client in place.stream.followers


async def test_follow_from_the_present_ends_the_replay_under_way() -> None:
    place = Place()
    place.follow_from(0)
    await place.wait_for_page()
    place.client.seqs.clear()
    place.follow_from(MISSED)
    await place.finish()
    assert place.client.seqs == []
    assert place.client in place.stream.followers


async def test_replay_that_fails_ends_the_connection() -> None:
    place = Place()
    place.log.is_broken = True
    place.follow_from(0)
    await place.finish()
    assert place.client.code == UNKNOWN_ERROR


async def test_client_that_does_not_take_its_page_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.fan_out.replay.TAKE_SECONDS", 0.02)
    place = Place()
    place.follow_from(0)
    await asyncio.wait(tuple(place.hub._tasks), timeout=30)
    assert place.client.code == SLOW_CONSUMER


async def test_next_page_waits_until_the_one_before_is_taken_from_the_transport() -> None:
    place = Place()
    written: list[bytes] = []

    class Slow(Client):
        """A client whose transport, as real ones do, is full as soon as it is written to."""

        def deliver(self, stream: Stream, batch: Batch) -> None:
            super().deliver(stream, batch)
            self.put(b"page", len(batch.payloads))

        def write(self, data: bytes) -> None:
            written.append(data)

        async def drain(self) -> None:
            if written:
                await super().drain()

    place.client = Slow(place.hub.flusher)
    place.follow_from(0)
    await place.wait_for_page()
    await asyncio.sleep(0.05)
    assert written == [b"page"]
    await place.finish()
    assert place.client.seqs == list(range(1, MISSED + 1))


async def test_presence_that_is_told_during_a_replay_is_told_to_who_is_replayed_once() -> None:
    place = Place()
    place.follow_from(0)
    await place.wait_for_page()
    told = [b'{"type":"user_joined"}', b'{"type":"user_left"}']
    place.hub.feed.receive(place.stream.name, told[0])
    assert place.client.unlogged == told[:1]
    await place.finish()
    place.hub.feed.receive(place.stream.name, told[1])
    assert place.client.unlogged == told


async def test_who_has_left_in_the_middle_of_a_replay_is_told_of_no_presence() -> None:
    place = Place()
    place.follow_from(0)
    await place.wait_for_page()
    place.hub.leave(place.stream, place.client)
    place.hub.feed.receive(place.stream.name, b'{"type":"user_joined"}')
    assert place.client.unlogged == []
    await place.finish()
