"""MongoDB as a replica set of one, so that majority writes and transactions work."""

from contextlib import suppress
from typing import Any, ClassVar

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from dev.servers.server import Server
from dev.tools import mongod


class MongoDB(Server):
    """One `mongod`, primary of its own replica set."""

    kind: ClassVar[str] = "mongodb"
    default_port: ClassVar[int] = 27017

    @property
    def environment(self) -> dict[str, str]:
        return {"MONGODB_URI": f"mongodb://{self.address}/hubbub?directConnection=true"}

    def _command(self) -> list[str]:
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
        client: MongoClient[dict[str, Any]] = MongoClient(
            f"mongodb://{self.address}/?directConnection=true", serverSelectionTimeoutMS=500
        )
        with client:
            try:
                if client.admin.command("hello").get("isWritablePrimary"):
                    return True
                with suppress(OperationFailure):  # It is initiated already, and elects itself.
                    member = {"_id": 0, "host": self.address}
                    client.admin.command(
                        "replSetInitiate",
                        {
                            "_id": "rs0",
                            "members": [member],
                            "settings": {"electionTimeoutMillis": 1000},
                        },
                    )
            except PyMongoError:
                pass
        return False
