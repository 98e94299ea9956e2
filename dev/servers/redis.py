"""Redis with its append-only file on."""

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
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
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def copy_data(self, folder: Path) -> None:
        """Copy what is on the disk now into `folder`, also while it runs."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in self.folder.glob("appendonly*"):  # A file up to Redis 6, a folder from 7 on.
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, folder / path.name)

    def kill_and_replace_data(self, folder: Path) -> None:
        """Kill it and put an earlier copy in the place of its data; `launch` must follow."""
        self.kill()
        for path in self.folder.glob("appendonly*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        shutil.copytree(folder, self.folder, dirs_exist_ok=True)
