"""The WebSocket: one JSON object a text frame, ops in order, events through the outbox.

An idle connection is an object on its transport: no task, no timer, no request. aiohttp's reader
turns bytes into messages; the outbox is the only writer.
"""

import asyncio
import logging
import time
from typing import Any, Final

from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http_websocket import WebSocketError, WebSocketReader

from app.errors import Unavailable
from app.keys import user_stream
from web.deps import Gateway
from web.fan_out.connection import UNKNOWN_ERROR, Connection
from web.fan_out.frames import WS_PING, Batch, ws_close, ws_pong, ws_text
from web.fan_out.replay import follow
from web.fan_out.resume import Start, open_stream
from web.identity import User, user_of
from web.keys import GATEWAY
from web.ops.call import Call
from web.ops.table import BadFrame, read
from web.problems import describe
from web.transports.handshake import Upgraded, accept, take_over
from web.transports.hello import FRAME_BYTES, hello
from web.waiting import Counts

log = logging.getLogger(__name__)

BAD_FRAMES: Final = 10
BAD_FRAMES_SECONDS: Final = 60.0
FIRST_OP_SECONDS: Final = 5.0
"""The user's own stream waits so long for a client to say that it comes back, and from where. Were
it given what is new before that, it would get it twice and out of order, and would have lost what
it missed if the connection broke in between. So it is a round trip of the slowest link."""
OPS_WAITING: Final = 64
"""A client that sends more ops than are handled is read no further."""
NORMAL: Final = 1000
TOO_MANY_BAD_FRAMES: Final = 4001


async def websocket(request: web.Request) -> web.StreamResponse:
    """Speak WebSocket: ops and events are described in docs/protocol.md.

    Here are only those whose handshake did not come as one piece (see `web/transports/door.py`),
    and those who are refused.
    """
    user = user_of(request)
    accepted = accept(request)
    connection = WsConnection(request.transport, request.app[GATEWAY], user)
    take_over(request, accepted, connection)
    connection.start()
    return Upgraded()


class WsConnection(Connection, asyncio.Protocol):
    """A client's WebSocket, and the protocol on its transport."""

    __slots__ = (
        "_bad_frames",
        "_drained",
        "_gateway",
        "_is_working",
        "_own_start",
        "_parser",
        "_waiting",
    )

    transport_name = "ws"

    def __init__(self, transport: asyncio.Transport | None, gateway: Gateway, user: User) -> None:
        super().__init__(transport, gateway.hub.flusher, user)
        self._gateway = gateway
        # aiohttp refuses what is as large as the limit.
        self._parser: WebSocketReader | None = WebSocketReader(
            _Inbox(self), FRAME_BYTES + 1, compress=False, decode_text=True
        )
        self._waiting: list[str | None] = []
        self._is_working = True
        self._drained: asyncio.Future[None] | None = None
        self._bad_frames: list[float] | None = None
        # Where the client stands in its own stream, until that goes live.
        self._own_start: Start | None = None

    def start(self) -> None:
        """Greet the client; what it has sent waits until then."""
        hub = self._gateway.hub
        hub.connect(self)
        hub.run(self._begin())

    # The transport's side

    def data_received(self, data: bytes) -> None:
        self.is_alive = True
        if self._parser is not None:
            self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gateway.hub.disconnect(self)
        self._parser = None
        self.resume_writing()

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    async def drain(self) -> None:
        if self._drained is not None:
            await self._drained

    # The hub's side

    def deliver(self, stream: object, batch: Batch) -> None:
        self.put(batch.ws, len(batch.payloads))

    def send(self, payload: bytes) -> None:
        self.put(ws_text(payload), 1)

    def ping(self) -> None:
        self.put(WS_PING, 0)

    def shut(self, code: int, reason: str = "") -> None:
        if not self.is_closed:
            self.finish(ws_close(code, reason))

    # What the client says

    def receive(self, kind: WSMsgType, data: Any) -> None:
        """Take a message in: an op waits its turn, the rest is answered at once."""
        if kind is WSMsgType.CLOSE:
            self.shut(NORMAL)
            self.transport.close()
        elif self.is_closed:
            return  # A close frame has been sent: only its answer is waited for.
        elif kind is WSMsgType.PING:
            self.put(ws_pong(data), 0)
        elif kind is not WSMsgType.PONG:
            self._waiting.append(data if kind is WSMsgType.TEXT else None)
            if len(self._waiting) == OPS_WAITING:
                self.transport.pause_reading()
            if not self._is_working:
                self._is_working = True
                self._gateway.hub.run(self._work())

    def fail(self, error: BaseException) -> None:
        """The client does not speak WebSocket, or says too much at once."""
        if isinstance(error, WebSocketError):
            self.shut(error.code)
        else:
            log.error("connection_failed", exc_info=error, extra={"connection": self.id})
            self.shut(UNKNOWN_ERROR)

    async def _begin(self) -> None:
        try:
            self._own_start = await self._greet()
        except Exception as error:  # noqa: BLE001 - fail logs it; the client comes back
            self.fail(error)
            return
        self._schedule_own()
        await self._work()

    async def _greet(self) -> Start | None:
        """Join the user's own stream and say hello; return where the client stands in it.

        None while Redis is away: the sweep joins it later, and the client is told to reload.
        """
        hub = self._gateway.hub
        start, counts = None, Counts()
        try:
            start = await open_stream(hub, user_stream(self.user.id), None)
        except Unavailable:
            if not self.is_closed:
                hub.sweep.add_orphan(self)
        else:
            if self.is_closed:
                hub.release(start.stream)
                return None
            self.own = start.stream
            counts = await self._gateway.waiting.of_user(self.user.id)
        self.send(hello(self, start, counts))
        return start

    def _begin_own(self) -> None:
        own, self._own_start = self._own_start, None
        if own is None or self.is_closed:
            return
        is_resumed = own.stream in self.replays or self in own.stream.followers
        if not is_resumed:
            follow(self._gateway.hub, self, [own])

    def _begin_own_unless_busy(self) -> None:
        if self._is_working:  # Perhaps with the very op that says where to begin.
            self._schedule_own()
        else:
            self._begin_own()

    def _schedule_own(self) -> None:
        if self._own_start is not None and not self.is_closed:
            asyncio.get_running_loop().call_later(FIRST_OP_SECONDS, self._begin_own_unless_busy)

    async def _work(self) -> None:
        """Handle what waits, in order."""
        try:
            while self._waiting and not self.is_closed:
                is_done = await self._handle(self._waiting.pop(0))
                # A `resume` that was refused is about to come again.
                if is_done and self._own_start is not None:
                    self._begin_own()
                if len(self._waiting) == OPS_WAITING // 2 and not self.transport.is_closing():
                    self.transport.resume_reading()
        finally:
            self._is_working = False

    async def _handle(self, text: str | None) -> bool:
        """Handle a frame; return whether it was an op, and was not refused."""
        try:
            op, fields, op_id = read(text)
        except BadFrame as bad:
            Call(self._gateway, self, bad.id).refuse(bad.error)
            self._count_bad_frame()
            return False
        call = Call(self._gateway, self, op_id)
        try:
            await op.handle(call, fields)
        except Exception as error:
            if describe(error).code == "internal":
                log.exception("op_failed", extra={"connection": self.id})
            call.refuse(error)
            return False
        return True

    def _count_bad_frame(self) -> None:
        now = time.monotonic()
        recent = [at for at in self._bad_frames or () if at > now - BAD_FRAMES_SECONDS]
        self._bad_frames = [*recent, now]
        if len(self._bad_frames) == BAD_FRAMES:
            self.shut(TOO_MANY_BAD_FRAMES, "bad frames")


class _Inbox(WebSocketDataQueue):
    """Where aiohttp's reader puts messages: it hands them on, and keeps none."""

    __slots__ = ("_connection",)

    def __init__(self, connection: WsConnection) -> None:
        # Not the queue's own: it would make a buffer that nothing is ever put into.
        self._connection = connection

    def feed_data(self, data: Any, size: int) -> None:
        self._connection.receive(data[0], data[1])

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        self._connection.fail(exc)
