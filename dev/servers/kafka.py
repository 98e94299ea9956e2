"""Kafka: one broker that is its own controller (KRaft)."""

import asyncio
import base64
import subprocess
import uuid
from pathlib import Path
from typing import ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from dev.ports import free_port
from dev.servers.server import Server, ServerError
from dev.tools import kafka_classpath


class Kafka(Server):
    """One broker. `fast_start` compiles less: half the time to start, for tests."""

    kind: ClassVar[str] = "kafka"
    default_port: ClassVar[int] = 9092

    def __init__(self, folder: Path, port: int | None = None, *, fast_start: bool = False) -> None:
        super().__init__(folder, port)
        self._controller_port = free_port()
        self._fast_start = fast_start

    @property
    def environment(self) -> dict[str, str]:
        return {"KAFKA_BROKERS": self.address}

    def _java(self, *command: str) -> list[str]:
        tiers = ["-XX:TieredStopAtLevel=1"] if self._fast_start else []
        return [
            "java", "-Xms256m", "-Xmx400m", "-XX:+UseSerialGC", "-Xshare:auto", *tiers,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp", kafka_classpath(), *command,
        ]  # fmt: skip

    def _command(self) -> list[str]:
        properties = self.folder / "server.properties"
        properties.write_text(self._properties())
        if not (self.folder / "data" / "meta.properties").exists():
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
            done = subprocess.run(
                self._java(
                    "kafka.tools.StorageTool", "format", "--standalone",
                    "-t", cluster, "-c", str(properties),
                ),
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise ServerError(f"kafka's storage cannot be formatted: {done.stderr[-300:]}")
        return self._java("kafka.Kafka", str(properties))

    def _properties(self) -> str:
        return f"""\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{self._controller_port}
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
        return asyncio.run(_lists_topics(self.address))


async def _lists_topics(address: str) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=2000)
    try:
        await admin.start()
        await admin.list_topics()
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
    return True
