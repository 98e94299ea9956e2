"""The WebSocket: one JSON object a text frame, ops in order, events through the outbox.

After the handshake the outbox is the only writer, for pongs and close frames too: aiohttp reads,
and answers nothing by itself.
"""

import asyncio
import logging
import time
from typing import Any, Final

from aiohttp import WSMsgType, web

from app.errors import RequestError, Unavailable
from app.keys import user_stream
from web import ops
from web.connection import Connection
from web.deps import Gateway
from web.frames import WS_PING, Batch, ws_close, ws_pong, ws_text
from web.hello import FRAME_BYTES, hello
from web.hub import Hub
from web.identity import User, user_of
from web.keys import GATEWAY
from web.outbox import Flusher
from web.problems import describe
from web.replay import follow
from web.resume import Start, open_stream

log = logging.getLogger(__name__)

BAD_FRAMES: Final = 10
BAD_FRAMES_SECONDS: Final = 60.0
FIRST_OP_SECONDS: Final = 1.0
NORMAL: Final = 1000
UNKNOWN_ERROR: Final = 4000
TOO_MANY_BAD_FRAMES: Final = 4001


class WsConnection(Connection):
    """A client's WebSocket."""

    __slots__ = ("_bad_frames",)

    transport_name = "ws"

    def __init__(self, request: web.Request, flusher: Flusher, user: User) -> None:
        super().__init__(request, flusher, user)
        self._bad_frames: list[float] | None = None

    def deliver(self, stream: object, batch: Batch) -> None:
        self.put(batch.ws, len(batch.payloads))

    def send(self, payload: bytes) -> None:
        self.put(ws_text(payload), 1)

    def ping(self) -> None:
        self.put(WS_PING, 0)

    def pong(self, payload: bytes) -> None:
        """Answer a client's ping."""
        self.put(ws_pong(payload), 0)

    def shut(self, code: int, reason: str = "") -> None:
        if not self.is_closed:
            self.finish(ws_close(code, reason))

    def count_bad_frame(self) -> bool:
        """Note a bad frame; return whether it was one too many."""
        now = time.monotonic()
        recent = [at for at in self._bad_frames or () if at > now - BAD_FRAMES_SECONDS]
        self._bad_frames = [*recent, now]
        return len(self._bad_frames) >= BAD_FRAMES


class _Response(web.WebSocketResponse):
    """aiohttp's reader; its own closing goes through the outbox."""

    connection: WsConnection

    def __init__(self) -> None:
        # aiohttp refuses what is as large as the limit.
        super().__init__(
            autoping=False, autoclose=False, compress=False, max_msg_size=FRAME_BYTES + 1
        )

    async def close(self, *, code: int = NORMAL, message: bytes = b"", drain: bool = True) -> bool:
        self.connection.shut(code, message.decode(errors="replace"))
        return True


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """`GET /ws`"""
    gateway = request.app[GATEWAY]
    hub = gateway.hub
    user = user_of(request)
    response = _Response()
    connection = response.connection = WsConnection(request, hub.flusher, user)
    await response.prepare(request)
    hub.connect(connection)
    try:
        own = await _greet(hub, connection)
        await _run(gateway, connection, response, own)
    except Exception:
        log.exception("connection_failed", extra={"connection": connection.id})
        connection.shut(UNKNOWN_ERROR, "unknown error")
    finally:
        connection.shut(NORMAL)
        hub.disconnect(connection)
    return response


async def _greet(hub: Hub, connection: Connection) -> Start | None:
    """Join the user's own stream and say hello; return where the client stands in it.

    None while Redis is away: the sweep joins it later, and the client is told to reload.
    """
    start = None
    try:
        start = await open_stream(hub, user_stream(connection.user.id), None)
    except Unavailable:
        hub.sweep.add_orphan(connection)
    else:
        if connection.is_closed:
            hub.release(start.stream)
            return None
        connection.own = start.stream
    connection.send(hello(connection, start))
    return start


async def _run(
    gateway: Gateway, connection: WsConnection, response: _Response, own: Start | None
) -> None:
    # A client that comes back says so in its first frame, with its cursor. Were it given what is
    # new before that, it would get it twice, and out of order.
    try:
        async with asyncio.timeout(FIRST_OP_SECONDS):
            message = await response.receive()
    except TimeoutError:
        message = None
    while True:
        if message is not None and not await _take(gateway, connection, message):
            return
        if own is not None:
            _begin_own(gateway.hub, connection, own)
            own = None
        message = await response.receive()


def _begin_own(hub: Hub, connection: WsConnection, own: Start) -> None:
    is_resumed = own.stream in connection.replays or connection in own.stream.followers
    if not is_resumed and not connection.is_closed:
        follow(hub, connection, [own])


async def _take(gateway: Gateway, connection: WsConnection, message: Any) -> bool:
    """Handle one frame; return whether there may be another."""
    kind = message.type
    connection.is_alive = True
    if connection.is_closed and kind in (WSMsgType.TEXT, WSMsgType.BINARY):
        return True  # A close frame has been sent: only its answer is waited for.
    if kind is WSMsgType.TEXT:
        await _handle(gateway, connection, message.data)
    elif kind is WSMsgType.PING:
        connection.pong(message.data)
    elif kind is WSMsgType.BINARY:
        error = RequestError("invalid", "a frame must be text")
        _refuse_bad(gateway, connection, ops.BadFrame(error))
    elif kind is not WSMsgType.PONG:
        return False
    return True


async def _handle(gateway: Gateway, connection: WsConnection, text: str) -> None:
    try:
        op, frame, op_id = ops.read(text)
    except ops.BadFrame as bad:
        _refuse_bad(gateway, connection, bad)
        return
    call = ops.Call(gateway, connection, op_id)
    try:
        await op.run(call, frame)
    except Exception as error:
        if describe(error).code == "internal":
            log.exception("op_failed", extra={"connection": connection.id})
        call.refuse(error)


def _refuse_bad(gateway: Gateway, connection: WsConnection, bad: ops.BadFrame) -> None:
    ops.Call(gateway, connection, bad.id).refuse(bad.error)
    if connection.count_bad_frame():
        connection.shut(TOO_MANY_BAD_FRAMES, "bad frames")
