"""One follower of a thousand takes nothing: the others are given everything, in the same turn."""

import asyncio
from typing import cast

from app.archive.history import History
from app.keys import channel_stream
from app.settings import Settings
from app.stream_log.cursor import Position
from app.stream_log.log import StreamLog
from web.fan_out.connection import Connection
from web.fan_out.frames import Batch, ws_close
from web.fan_out.hub import SLOW_CONSUMER, Hub
from web.fan_out.outbox import BOUND_BYTES, BOUND_FRAMES
from web.fan_out.stream import Stream
from web.identity import User

FOLLOWERS = 1000
FRAME_BYTES = 4000


class Line(asyncio.Transport):
    """A transport whose client takes everything at once, or nothing."""

    def __init__(self, *, is_stalled: bool) -> None:
        super().__init__()
        self.is_stalled = is_stalled
        self.writes: list[bytes] = []
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.writes)) if self.is_stalled else 0

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


class Client(Connection):
    """A connection on a line."""

    transport_name = "ws"

    def deliver(self, stream: Stream, batch: Batch) -> None:
        self.put(batch.ws, len(batch))

    def send(self, payload: bytes) -> None:
        self.put(payload, 1)

    def shut(self, code: int, reason: str = "") -> None:
        self.finish(ws_close(code, reason))


class Room:
    """A hub with a channel that a thousand clients follow, the first of whom is stalled."""

    def __init__(self) -> None:
        self.hub = Hub(Settings(), cast(StreamLog, None), cast(History, None))
        self._name = channel_stream("c").live.encode()
        stream = self.hub._streams[self._name] = Stream(channel_stream("c"))
        stream.place(Position("00000000", 0, 0))
        self.stream = stream
        self._seq = 0
        self.lines = [Line(is_stalled=number == 0) for number in range(FOLLOWERS)]
        self.clients = [
            Client(line, self.hub.flusher, User(f"u{number}", "U"))
            for number, line in enumerate(self.lines)
        ]
        for client in self.clients:
            self.hub.connect(client)
            client.streams["c"] = stream
            stream.joined += 1
            self.hub.attach(stream, client)

    def hear(self) -> bytes:
        """Give the hub one published event; return it."""
        self._seq += 1
        head = b'{"type":"m","seq":%d,"cursor":"00000000.%d.%d.1","data":"' % ((self._seq,) * 3)
        frame = head.ljust(FRAME_BYTES - 2, b"x") + b'"}'
        self.hub.feed.receive(self._name, b"00000000 %d\n" % self._seq + frame)
        self.hub.feed.end_read()
        return frame


async def test_everybody_else_is_written_to_in_the_turn_in_which_an_event_is_heard() -> None:
    room = Room()
    await asyncio.sleep(0)
    for number in range(1, 401):
        frame = room.hear()
        # Whatever the stalled one holds, and when it is dropped: one turn, and all have it.
        await asyncio.sleep(0)
        assert all(len(line.writes) == number for line in room.lines[1:])
        assert all(line.writes[-1].endswith(frame) for line in room.lines[1:])
    assert room.clients[0] not in room.stream.followers


async def test_stalled_one_is_dropped_at_the_bound_and_holds_no_more() -> None:
    room = Room()
    line, client = room.lines[0], room.clients[0]
    most = count = 0
    while client in room.stream.followers:
        count += 1
        room.hear()
        await asyncio.sleep(0)
        most = max(most, line.get_write_buffer_size())
    assert count <= BOUND_FRAMES
    assert BOUND_BYTES < most <= BOUND_BYTES + 2 * (FRAME_BYTES + 10)
    assert line.writes[-1].endswith(ws_close(SLOW_CONSUMER, "slow consumer"))
    written = len(line.writes)
    for _ in range(10):
        room.hear()
        await asyncio.sleep(0)
    assert len(line.writes) == written
    assert client not in room.hub.connections
    async with asyncio.timeout(30):
        while not line.is_aborted:
            await asyncio.sleep(0.05)
