"""Where Kafka, Redis and MongoDB are: told by the environment, found, or to be started here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from dev.errors import DiscoveryError
from dev.ports import is_taken
from dev.servers import Address, Kafka, MongoDB, Redis, Server

KINDS: Final[tuple[type[Server], ...]] = (Kafka, MongoDB, Redis)
"""In the order in which they are started: the slowest first."""


class Origin(Enum):
    """Why a server is where it is."""

    TOLD = "told by the environment"
    FOUND = "was running"
    STARTED = "started here"


@dataclass(frozen=True, slots=True)
class Location:
    """A server's address; `server` is the one to start, where it is to be started here."""

    title: str
    address: Address
    origin: Origin
    server: Server | None = None

    def __str__(self) -> str:
        return f"{self.title} at {self.address}, {self.origin.value}"


def locate(kind: type[Server], environment: Mapping[str, str], home: Path) -> Location:
    """Find a server of `kind`: the environment's, else one at its default address, else here.

    An environment that names the default address says nothing new, so that a copy of
    `.env.example` changes nothing. What is started here keeps its data below `home`.

    Raises:
        DiscoveryError: the environment's does not answer, or something else has the port.
    """
    default = Address("localhost", kind.default_port)
    told = kind.read_address(environment)
    if told is not None and not (told.is_local and told.port == default.port):
        if told.port is not None and not is_taken(told.port, told.host):
            raise DiscoveryError(
                f"nothing answers at {told}: start {kind.title} there, "
                f"or unset {kind.variables} to have it started here"
            )
        return Location(kind.title, told, Origin.TOLD)
    server = kind(home / kind.kind, kind.default_port)
    if server.answers():
        return Location(kind.title, default, Origin.FOUND)
    if is_taken(server.port):
        raise DiscoveryError(
            f"port {server.port} is taken by something that is not {kind.title}: "
            f"stop it, or name another address in {kind.variables}"
        )
    return Location(kind.title, default, Origin.STARTED, server)
