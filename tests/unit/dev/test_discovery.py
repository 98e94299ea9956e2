"""Where the servers are: the environment's, else found, else started here."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from dev.discovery import Origin, locate
from dev.errors import DiscoveryError
from dev.ports import free_port
from dev.servers import Address, Kafka, MongoDB, Redis, Server


class Listener:
    """Listens on a free port and answers every connection with `answer`."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if not connection.recv(4096):  # The end, or a look whether somebody listens.
                    if self._answer == b"":
                        return
                    continue
                connection.sendall(self._answer)

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._answer = b""
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def redis_like() -> Iterator[Listener]:
    with Listener(b"+PONG\r\n") as listener:
        yield listener


@pytest.fixture
def stranger() -> Iterator[Listener]:
    with Listener(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"-" * 64) as listener:
        yield listener


class At(Protocol):
    """Gives a server another default port, so that the machine's own does not matter."""

    def __call__(self, port: int, kind: type[Server] = Redis) -> type[Server]: ...


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    def move(port: int, kind: type[Server] = Redis) -> type[Server]:
        monkeypatch.setattr(kind, "default_port", port)
        return kind

    return move


def test_an_address_of_the_environment_goes_before_one_that_answers(
    home: Path, at: At, redis_like: Listener, stranger: Listener
) -> None:
    told = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(stranger.port)}
    location = locate(at(redis_like.port), told, home)
    assert (location.origin, location.address.port) == (Origin.TOLD, stranger.port)


def test_a_server_that_answers_at_its_default_address_is_used(
    home: Path, at: At, redis_like: Listener
) -> None:
    location = locate(at(redis_like.port), {}, home)
    assert (location.origin, location.server) == (Origin.FOUND, None)


def test_a_server_that_is_nowhere_is_to_be_started_at_its_default_port(home: Path, at: At) -> None:
    port = free_port()
    location = locate(at(port), {}, home)
    assert location.origin is Origin.STARTED
    assert location.server is not None
    assert (location.server.port, location.server.folder) == (port, home / "redis")


def test_the_default_address_told_by_the_environment_may_be_started(home: Path, at: At) -> None:
    port = free_port()
    told = {"REDIS_HOST": "localhost", "REDIS_PORT": str(port)}
    assert locate(at(port), told, home).origin is Origin.STARTED


@pytest.mark.parametrize("kind", [Redis, Kafka, MongoDB])
def test_a_default_port_that_something_else_has_is_refused_with_what_to_do(
    home: Path, at: At, stranger: Listener, kind: type[Server]
) -> None:
    with pytest.raises(DiscoveryError, match=f"port {stranger.port} is taken .* stop it, or"):
        locate(at(stranger.port, kind), {}, home)


def test_a_told_address_where_nothing_answers_is_refused_by_its_variable(home: Path) -> None:
    with pytest.raises(DiscoveryError, match=r"nothing answers at 127\.0\.0\.1.*KAFKA_BROKERS"):
        locate(Kafka, {"KAFKA_BROKERS": f"127.0.0.1:{free_port()}"}, home)


@pytest.mark.parametrize(
    ("kind", "environment", "address"),
    [
        (Kafka, {}, None),
        (Kafka, {"KAFKA_BROKERS": "one:19092, two:9092"}, Address("one", 19092)),
        (Kafka, {"KAFKA_BROKERS": "one"}, Address("one", 9092)),
        (Redis, {"REDIS_HOST": "one"}, Address("one", 6379)),
        (Redis, {"REDIS_PORT": "7000"}, Address("localhost", 7000)),
        (MongoDB, {"MONGODB_URI": "mongodb://u:p@one:1,two:2/hubbub?w=1"}, Address("one", 1)),
        (MongoDB, {"MONGODB_URI": "mongodb://one/hubbub"}, Address("one", 27017)),
        (MongoDB, {"MONGODB_URI": "mongodb+srv://one/hubbub"}, Address("one", None)),
    ],
)
def test_the_first_address_that_the_settings_name_is_read(
    kind: type[Server], environment: dict[str, str], address: Address | None
) -> None:
    assert kind.read_address(environment) == address


def test_a_port_that_is_none_is_refused_by_its_variable() -> None:
    with pytest.raises(DiscoveryError, match="REDIS_PORT: 'x' is no port"):
        Redis.read_address({"REDIS_PORT": "x"})
