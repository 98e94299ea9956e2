"""MongoDB as a replica set of one, so that majority writes and transactions work."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from dev.ports import is_taken
from dev.servers.server import Address, Server, read_address
from dev.tools import mongod


class MongoDB(Server):
    """One `mongod`, primary of its own replica set."""

    kind: ClassVar[str] = "mongodb"
    title: ClassVar[str] = "MongoDB"
    variables: ClassVar[str] = "MONGODB_URI"
    default_port: ClassVar[int] = 27017

    @property
    def environment(self) -> dict[str, str]:
        return {"MONGODB_URI": f"mongodb://{self.address}/hubbub?directConnection=true"}

    @classmethod
    def read_address(cls, environment: Mapping[str, str]) -> Address | None:
        uri = environment.get("MONGODB_URI")
        if not uri:
            return None
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2].split(",")[0]
        if parts.scheme == "mongodb+srv":
            return Address(host, None)
        return read_address(host, cls.default_port, "MONGODB_URI")

    def prepare(self) -> list[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        return [
            str(mongod()),
            "--port", str(self.port),
            "--bind_ip", "127.0.0.1",
            "--dbpath", str(data),
            "--replSet", "rs0",
            "--wiredTigerCacheSizeGB", "0.25",
            "--nounixsocket",
            "--quiet",
        ]  # fmt: skip

    def answers(self) -> bool:
        if not is_taken(self.port):  # The client would ask again for half a second.
            return False
        with self._client() as client, suppress(PyMongoError):
            return bool(client.admin.command("hello").get("isWritablePrimary"))
        return False

    def initiate(self) -> None:
        if not is_taken(self.port):
            return
        member = {"_id": 0, "host": self.address}
        settings = {"electionTimeoutMillis": 1000}
        # It does not listen yet, or it is initiated already and elects itself: asked again.
        with self._client() as client, suppress(PyMongoError):
            client.admin.command(
                "replSetInitiate", {"_id": "rs0", "members": [member], "settings": settings}
            )

    def _client(self) -> MongoClient[dict[str, Any]]:
        return MongoClient(
            f"mongodb://{self.address}/?directConnection=true",
            serverSelectionTimeoutMS=500,
            connectTimeoutMS=500,
            socketTimeoutMS=2000,
        )
