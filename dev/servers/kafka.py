"""Kafka: one broker that is its own controller (KRaft)."""

import base64
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from dev.errors import ServerError
from dev.ports import free_port
from dev.servers.server import Address, Server, read_address
from dev.tools import java, kafka_classpath

# Metadata, version 4: which brokers are there, no topic.
# https://kafka.apache.org/protocol#The_Messages_Metadata
_CORRELATION: Final = 4711
_CLIENT: Final = b"hubbub-dev"
_METADATA: Final = struct.pack(
    f">hhih{len(_CLIENT)}si?", 3, 4, _CORRELATION, len(_CLIENT), _CLIENT, 0, False
)
_ANSWER: Final = struct.Struct(">iiii")
"""Length, correlation id, throttle time, number of brokers."""


class Kafka(Server):
    """One broker. `fast_start` compiles less: half the time to start, for tests."""

    kind: ClassVar[str] = "kafka"
    title: ClassVar[str] = "Kafka"
    variables: ClassVar[str] = "KAFKA_BROKERS"
    default_port: ClassVar[int] = 9092
    memory: ClassVar[tuple[str, ...]] = ("-Xms256m", "-Xmx400m")

    def __init__(self, folder: Path, port: int | None = None, *, fast_start: bool = False) -> None:
        super().__init__(folder, port)
        self.controller_port = free_port()
        self._fast_start = fast_start

    @property
    def environment(self) -> dict[str, str]:
        return {"KAFKA_BROKERS": self.address}

    @classmethod
    def read_address(cls, environment: Mapping[str, str]) -> Address | None:
        brokers = environment.get("KAFKA_BROKERS")
        if not brokers:
            return None
        return read_address(brokers.split(",")[0], cls.default_port, "KAFKA_BROKERS")

    def _java(self, *command: str) -> list[str]:
        tiers = ["-XX:TieredStopAtLevel=1"] if self._fast_start else []
        return [
            java(), *self.memory, "-XX:+UseSerialGC", "-Xshare:auto", *tiers,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp", kafka_classpath(), *command,
        ]  # fmt: skip

    def prepare(self) -> list[str]:
        properties = self.folder / "server.properties"
        properties.write_text(self._properties())
        if not (self.folder / "data" / "meta.properties").exists():
            done = subprocess.run(
                self._java(
                    "kafka.tools.StorageTool", "format", *self._format_options(),
                    "-c", str(properties),
                ),
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                detail = " ".join((done.stderr or done.stdout).split())[-300:]
                raise ServerError(f"Kafka's storage cannot be formatted: {detail}")
        return self._java("kafka.Kafka", str(properties))

    def _format_options(self) -> list[str]:
        return ["--standalone", f"--cluster-id={new_cluster_id()}"]  # `=`: it may begin with a dash

    def _properties(self) -> str:
        return f"""\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{self.controller_port}
log.dirs={self.folder / "data"}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.segment.bytes=67108864
"""

    def answers(self) -> bool:
        """Whether it knows a broker, itself: before that it refuses to make topics."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(struct.pack(">i", len(_METADATA)) + _METADATA)
                answer = connection.recv(_ANSWER.size, socket.MSG_WAITALL)
        except OSError:
            return False
        if len(answer) < _ANSWER.size:
            return False
        _, correlation, _, brokers = _ANSWER.unpack(answer)
        return bool(correlation == _CORRELATION and brokers > 0)


def new_cluster_id() -> str:
    """Return a random id as Kafka's own tool makes it."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
