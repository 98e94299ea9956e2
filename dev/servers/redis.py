"""Redis with its append-only file on."""

import socket
from typing import ClassVar

from dev.servers.server import Server
from dev.tools import redis_server


class Redis(Server):
    """One Redis."""

    kind: ClassVar[str] = "redis"
    title: ClassVar[str] = "Redis"
    default_port: ClassVar[int] = 6379

    @property
    def environment(self) -> dict[str, str]:
        return {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self.port)}

    def prepare(self) -> list[str]:
        return [
            str(redis_server()),
            "--port", str(self.port),
            "--bind", "127.0.0.1",
            "--dir", str(self.folder),
            "--appendonly", "yes",
            "--save", "",
            "--maxmemory-policy", "noeviction",
        ]  # fmt: skip

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
