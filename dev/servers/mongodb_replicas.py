"""Three MongoDB servers as one replica set: what one is missing, two have."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pymongo.errors import PyMongoError

from dev.errors import ServerError
from dev.ports import is_taken
from dev.servers.mongodb import MongoDB

SIZE: Final = 3
START_SECONDS: Final = 60.0
ELECTION_SECONDS: Final = 3
"""Without a primary, until the others elect one; without the others, until a primary steps down."""


class Member(MongoDB):
    """One server of a replica set."""

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(folder)
        self.name = f"mongodb.{number}"

    def prepare(self) -> list[str]:
        return [*super().prepare(), "--oplogSize", "64"]

    def answers(self) -> bool:
        return bool(self.hello())

    def initiate(self) -> None:
        """Do nothing: the set is initiated through one of its members."""

    @property
    def is_primary(self) -> bool:
        """Whether it is, and knows it."""
        return bool(self.hello().get("isWritablePrimary"))

    def hello(self) -> dict[str, Any]:
        """What the server says of itself; nothing if it does not answer."""
        if not is_taken(self.port):  # The client would ask again for half a second.
            return {}
        with self._client() as client, suppress(PyMongoError):
            return client.admin.command("hello")
        return {}

    def form(self, others: Sequence["Member"]) -> None:
        """Initiate a replica set of this member and others."""
        members = [
            {"_id": number, "host": member.address} for number, member in enumerate((self, *others))
        ]
        settings = {
            "electionTimeoutMillis": ELECTION_SECONDS * 1000,
            "heartbeatIntervalMillis": 250,
        }
        with self._client() as client:
            client.admin.command(
                "replSetInitiate", {"_id": "rs0", "members": members, "settings": settings}
            )


class MongoDBReplicas:
    """Servers that elect one of them, in folders of their own."""

    def __init__(self, folder: Path) -> None:
        self.members: Sequence[Member] = [
            Member(folder / str(number), number) for number in range(1, SIZE + 1)
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead a Hubbub process here."""
        addresses = ",".join(member.address for member in self.members)
        return {"MONGODB_URI": f"mongodb://{addresses}/hubbub?replicaSet=rs0"}

    def start(self) -> None:
        """Start all, and return when one is elected and the others follow it.

        Raises:
            ServerError: one did not start, or none was elected, within a minute.
        """
        for member in self.members:
            member.launch()
        for member in self.members:
            member.wait_answers()
        self.members[0].form(self.members[1:])
        self._wait_complete()

    def make_whole(self) -> None:
        """Start whoever was killed, and return when all follow one; raises as `start` does."""
        for member in self.members:
            if not member.is_running:
                member.launch()
        self._wait_complete()

    def primary(self) -> Member:
        """Return the member that is the primary now.

        Raises:
            ServerError: none is.
        """
        for member in self.members:
            if member.is_primary:
                return member
        raise ServerError("no member of MongoDB is the primary")

    def _wait_complete(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _is_complete([member.hello() for member in self.members]):
            if time.monotonic() > deadline:
                raise ServerError("MongoDB elects no primary that all others follow")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill every member."""
        for member in self.members:
            member.kill()


def _is_complete(hellos: Sequence[dict[str, Any]]) -> bool:
    primaries = sum(bool(hello.get("isWritablePrimary")) for hello in hellos)
    return (primaries, sum(bool(hello.get("secondary")) for hello in hellos)) == (1, SIZE - 1)
