"""How the two kinds of servers are spoken to: Hubbub's own WebSocket, and Socket.IO's."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final

_FRAME_MARK: Final = 0x80
_MASKED: Final = 0x80


def client_frame(payload: bytes) -> bytes:
    """A text frame of a client; its mask is zero, so that the payload stays as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((_FRAME_MARK | 1, _MASKED | size))
    else:
        head = bytes((_FRAME_MARK | 1, _MASKED | 126)) + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload


class Dialect(ABC):
    """What a client of one kind of server says, and how it knows where it stands."""

    joined_mark: ClassVar[bytes]
    """Stands in the answer to a join."""
    refused_mark: ClassVar[bytes]
    """Stands in what is answered instead."""
    ping: ClassVar[bytes]
    """A frame that the server must have answered."""
    pong: ClassVar[bytes]
    resumes: ClassVar[bool]
    """Whether a client that comes back gets what it missed."""
    quiet_seconds: ClassVar[float]
    """After so long without a delivery nothing more comes."""

    @abstractmethod
    def path(self, user: str) -> str:
        """The path of the WebSocket handshake."""

    @abstractmethod
    def greet(self, received: bytes) -> bytes:
        """What is to be said after `received`, the first bytes, before the join; may be empty."""

    @abstractmethod
    def is_greeted(self, received: bytes) -> bool:
        """Whether a channel can be joined now."""

    @abstractmethod
    def join(self, channel: str, cursor: str) -> bytes:
        """The frame that joins a channel; `cursor` is empty at first."""


class HubbubDialect(Dialect):
    """docs/protocol.md"""

    joined_mark = b'"type":"joined"'
    refused_mark = b'"type":"error"'
    ping = b"\x89\x00"
    pong = b"\x8a\x80\0\0\0\0"
    resumes = True
    quiet_seconds = 12.0  # A gateway looks for what it has not heard every 10 s.

    def path(self, user: str) -> str:
        return f"/ws?userId={user}&userName={user}"

    def greet(self, received: bytes) -> bytes:
        return b""

    def is_greeted(self, received: bytes) -> bool:
        return True

    def join(self, channel: str, cursor: str) -> bytes:
        since = f',"since":"{cursor}"' if cursor else ""
        op = f'{{"op":"join_channel","id":1,"channelId":"{channel}"{since}}}'
        return client_frame(op.encode())


class SocketIODialect(Dialect):
    """Engine.IO 4 over its WebSocket transport, Socket.IO 5 on top."""

    joined_mark = b'["joined"'
    refused_mark = b"44{"
    ping = b"\x81\x012"
    pong = client_frame(b"3")
    resumes = False
    quiet_seconds = 3.0

    def path(self, user: str) -> str:
        return f"/socket.io/?EIO=4&transport=websocket&userId={user}"

    def greet(self, received: bytes) -> bytes:
        return client_frame(b"40") if b'0{"sid"' in received and b"40{" not in received else b""

    def is_greeted(self, received: bytes) -> bool:
        return b"40{" in received

    def join(self, channel: str, cursor: str) -> bytes:
        return client_frame(f'42["join_channel",{{"channelId":"{channel}"}}]'.encode())


DIALECTS: Final[dict[str, Dialect]] = {"hubbub": HubbubDialect(), "socketio": SocketIODialect()}
