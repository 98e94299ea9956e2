"""The WebSocket handshake: read, accepted, answered. RFC 6455, section 4.2.

aiohttp keeps a task, a request and a parser of HTTP for as long as a connection lives: more than
half of its memory, and for nothing once it is a WebSocket. So where a handshake has come through
aiohttp, its protocol is told that the connection is gone, and another takes its place on the
transport.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http import WS_KEY
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.http_websocket import WebSocketReader
from aiohttp.streams import EMPTY_PAYLOAD

from app.errors import RequestError
from web.identity import USER_PARAMETERS, Asking

VERSION: Final = "13"


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a request that asks for an upgrade says."""

    headers: Mapping[str, str]
    query: Mapping[str, str]


def read_handshake(data: bytes, line_bytes: int) -> tuple[Handshake, bytes] | None:
    """Return the handshake that `data` begins with, and what follows it.

    None if it is none, is not whole, has a body or a line longer than `line_bytes`, or asks for
    more than who is asking.
    """
    # aiohttp's own parser: what it refuses is refused, and no line can be read in two ways.
    parser: Any = HttpRequestParser(
        None,  # The protocol of a body, and there is none.
        asyncio.get_running_loop(),
        line_bytes,
        max_line_size=line_bytes,
        max_field_size=line_bytes,
    )
    try:
        messages, is_upgrade, tail = parser.feed_data(data)
    except HttpProcessingError:
        return None
    if not is_upgrade or len(messages) != 1 or messages[0][1] is not EMPTY_PAYLOAD:
        return None
    message = messages[0][0]
    query = message.url.query
    if not query.keys() <= USER_PARAMETERS or len(query) != len(query.keys()):
        return None
    return Handshake(message.headers, query), tail


def accept(request: Asking) -> str:
    """Return what a valid handshake is answered with (`Sec-WebSocket-Accept`).

    Raises:
        RequestError: `invalid`, the request is no handshake of version 13.
    """
    headers = request.headers
    tokens = [token.strip().lower() for token in headers.get("Connection", "").split(",")]
    if headers.get("Upgrade", "").strip().lower() != "websocket" or "upgrade" not in tokens:
        raise RequestError("invalid", "Upgrade: this address speaks WebSocket only")
    if headers.get("Sec-WebSocket-Version") != VERSION:
        raise RequestError("invalid", f"Sec-WebSocket-Version: must be {VERSION}")
    key = headers.get("Sec-WebSocket-Key", "")
    try:
        is_valid = len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        is_valid = False
    if not is_valid:
        raise RequestError("invalid", "Sec-WebSocket-Key: must be 16 bytes in base64")
    # RFC 6455 wants SHA-1; nothing here is a secret.
    digest = hashlib.sha1(key.encode() + WS_KEY, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def switch(accepted: str) -> bytes:
    """The answer to a handshake, with what `accept` returned."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accepted.encode()
    )


class _Tail:
    """Collects what the client has sent behind its handshake."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """aiohttp's protocol was told that the connection is gone."""


def take_over(request: web.Request, accepted: str, protocol: asyncio.Protocol) -> None:
    """Answer the handshake and put `protocol` in aiohttp's place."""
    handler = request.protocol
    transport = handler.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    tail = _Tail()
    handler.set_parser(cast(WebSocketReader, tail))
    transport.write(switch(accepted))
    transport.set_protocol(protocol)
    # In this order: it would close the transport that it still had.
    handler.transport = None
    handler.connection_lost(None)
    if tail.data:
        protocol.data_received(tail.data)


class Upgraded(web.StreamResponse):
    """What a handler returns whose connection has been taken over: nothing is left to send."""

    def __init__(self) -> None:
        super().__init__(status=101)

    async def prepare(self, request: web.BaseRequest) -> Any:
        """Do nothing."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing."""
