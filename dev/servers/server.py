"""What the three servers share: a process, its port, its folder, and when it answers."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from dev.child import Child
from dev.errors import DiscoveryError, ServerError
from dev.ports import free_port

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Address:
    """A server's host and port; without a port it is looked up in the DNS by its clients."""

    host: str
    port: int | None

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return self.host in ("localhost", "127.0.0.1")

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def read_address(text: str, default_port: int, variable: str) -> Address:
    """Read `host` or `host:port`, the value of `variable`.

    Raises:
        DiscoveryError: the port is none.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        return Address(port, default_port)
    if not port.isdigit():
        raise DiscoveryError(f"{variable}: {port!r} is no port")
    return Address(host, int(port))


class Server(Child, ABC):
    """One server with data and logs in `folder`, on 127.0.0.1; on a free port unless given one."""

    kind: ClassVar[str]
    """The name of its folder."""
    title: ClassVar[str]
    variables: ClassVar[str]
    """The settings that name it, as one says them."""
    default_port: ClassVar[int]

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(self.kind)
        self.folder = folder
        self.port = port or free_port()

    @property
    def address(self) -> str:
        """`127.0.0.1:<port>`"""
        return f"127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        """Where the server's own log goes."""
        return self.folder / "log"

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The settings that lead a Hubbub process here."""

    @classmethod
    @abstractmethod
    def read_address(cls, environment: Mapping[str, str]) -> Address | None:
        """Return the first address that the settings name, None where they name none.

        Raises:
            DiscoveryError: the port is none.
        """

    @abstractmethod
    def prepare(self) -> list[str]:
        """Fetch the program where it is missing, make the folder ready, return the command.

        Raises:
            ToolError: the program is missing and cannot be fetched.
            ServerError: the folder cannot be made ready.
        """

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server serves requests now; never waits for more than a moment."""

    def initiate(self) -> None:
        """Do what the server needs at its first start, once it listens; safe to repeat."""

    def start(self, *, detached: bool = False) -> None:
        """Start, and return when it answers; `detached` it outlives this process.

        Raises:
            ServerError: it ended, or did not answer within a minute.
            ToolError: its program is missing and cannot be fetched.
        """
        self.launch(detached=detached)
        self.wait_answers()

    def launch(self, *, detached: bool = False) -> None:
        """Start, and return at once; raises as `start` does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.prepare()
        with self.log_file.open("ab") as log:
            self.spawn(command, output=log, detached=detached)

    def wait_answers(self, timeout_seconds: float = START_SECONDS) -> None:
        """Return when the launched server answers; raises as `start` does."""
        deadline = time.monotonic() + timeout_seconds
        while not self.answers():
            if not self.is_running:
                raise ServerError(f"{self.title} ended at its start; see {self.log_file}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(f"{self.title} does not answer; see {self.log_file}")
            self.initiate()
            time.sleep(0.05)

    def stop(self, grace_seconds: float = STOP_SECONDS) -> None:
        """Stop in good order; kill after `grace_seconds`."""
        super().stop(grace_seconds)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
