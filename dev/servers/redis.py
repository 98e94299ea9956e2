"""Redis with its append-only file on."""

import socket
from collections.abc import Mapping
from typing import ClassVar

from dev.servers.server import Address, Server, read_address
from dev.tools import redis_server


class Redis(Server):
    """One Redis."""

    kind: ClassVar[str] = "redis"
    title: ClassVar[str] = "Redis"
    variables: ClassVar[str] = "REDIS_HOST and REDIS_PORT"
    default_port: ClassVar[int] = 6379

    @property
    def environment(self) -> dict[str, str]:
        return {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self.port)}

    @classmethod
    def read_address(cls, environment: Mapping[str, str]) -> Address | None:
        host, port = environment.get("REDIS_HOST"), environment.get("REDIS_PORT")
        if not host and not port:
            return None
        text = f"{host or 'localhost'}:{port or cls.default_port}"
        return read_address(text, cls.default_port, "REDIS_PORT")

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
