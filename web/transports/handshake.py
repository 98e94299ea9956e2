"""The WebSocket handshake, after which the connection is ours and no longer aiohttp's.

aiohttp keeps a task, a request and a parser of HTTP for as long as a connection lives: more than
half of its memory, and for nothing once it is a WebSocket. So its protocol is told that the
connection is gone, and another takes its place on the transport. RFC 6455, section 4.2.
"""

import asyncio
import base64
import binascii
import hashlib
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http import WS_KEY
from aiohttp.http_websocket import WebSocketReader

from app.errors import RequestError

VERSION: Final = "13"


def accept(request: web.Request) -> str:
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
    transport.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accepted.encode()
    )
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
