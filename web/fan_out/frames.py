"""The bytes of what a gateway sends: encoded once an event and shared by every connection.

A server's WebSocket frame carries no mask (RFC 6455, section 5.1), so without compression the same
bytes serve everybody; an SSE event differs only in its `id:` line.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final

import orjson

from app.keys import StreamKey
from app.stream_log.cursor import position_of
from web.fan_out.cursor import pack_position

_TEXT: Final = 0x81
_CLOSE: Final = 0x88
_PING: Final = 0x89
_PONG: Final = 0x8A
_TYPE: Final = b'{"type":"'

_short = struct.Struct("!BB")
_medium = struct.Struct("!BBH")
_long = struct.Struct("!BBQ")
_code = struct.Struct("!H")


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return _short.pack(opcode, size) + payload
    if size < 65536:
        return _medium.pack(opcode, 126, size) + payload
    return _long.pack(opcode, 127, size) + payload


def ws_text(payload: bytes) -> bytes:
    """A WebSocket text frame."""
    return _frame(_TEXT, payload)


def ws_close(code: int, reason: str) -> bytes:
    """A WebSocket close frame."""
    return _frame(_CLOSE, _code.pack(code) + reason.encode()[:123])


def ws_pong(payload: bytes) -> bytes:
    """The answer to a client's ping."""
    return _frame(_PONG, payload)


WS_PING: Final = _frame(_PING, b"")
SSE_COMMENT: Final = b":\n\n"


def sse_event(payload: bytes) -> bytes:
    """An event without its `id:`; its name is the payload's `type`, which every payload begins
    with."""
    start = len(_TYPE)
    name = payload[start : payload.index(b'"', start)]
    return b"event: %b\ndata: %b\n\n" % (name, payload)


def encode(event_type: str, **fields: Any) -> bytes:
    """The payload of an event that is no event of a log: `type` first, then `fields`."""
    return orjson.dumps({"type": event_type, **fields})


def owner_of(key: StreamKey) -> dict[str, str]:
    """How frames name a stream: by its channel or by its user."""
    return {"channelId" if key.kind == "channel" else "userId": key.id}


class Batch:
    """Events of one stream, in order, on their way to its followers.

    `is_ephemeral`: they are in no log, and are the first to be dropped when a client is slow.
    """

    __slots__ = ("_sse", "_ws", "is_ephemeral", "payloads")

    def __init__(self, payloads: Sequence[bytes], *, is_ephemeral: bool = False) -> None:
        self.payloads = payloads
        self.is_ephemeral = is_ephemeral
        self._ws = b""
        self._sse: list[tuple[bytes, bytes]] = []

    def __len__(self) -> int:
        return len(self.payloads)

    @property
    def ws(self) -> bytes:
        """All of them as WebSocket frames."""
        if not self._ws:
            self._ws = b"".join([_frame(_TEXT, payload) for payload in self.payloads])
        return self._ws

    @property
    def sse(self) -> Sequence[tuple[bytes, bytes]]:
        """Each with its place, packed for an `id:` (of no log: nothing), and without the `id:`."""
        if not self._sse:
            self._sse = [
                (
                    b"" if self.is_ephemeral else pack_position(position_of(payload)),
                    sse_event(payload),
                )
                for payload in self.payloads
            ]
        return self._sse
