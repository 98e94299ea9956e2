"""Three Kafka brokers, each of them a controller too: what one is missing, two have."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from dev.servers.kafka import Kafka, new_cluster_id

SIZE: Final = 3
START_SECONDS: Final = 180.0


class Broker(Kafka):
    """One broker of a cluster; its number is its node id."""

    memory: ClassVar[tuple[str, ...]] = ("-Xms96m", "-Xmx256m")

    def __init__(self, folder: Path, node_id: int, cluster_id: str) -> None:
        super().__init__(folder, fast_start=True)
        self.name = f"kafka.{node_id}"
        self.node_id = node_id
        self.voters = ""
        """Every broker's `id@host:controller-port`, with commas; the same for all."""
        self._cluster_id = cluster_id

    def _format_options(self) -> list[str]:
        return [f"--cluster-id={self._cluster_id}"]

    def _properties(self) -> str:
        return f"""\
process.roles=broker,controller
node.id={self.node_id}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
controller.quorum.voters={self.voters}
log.dirs={self.folder / "data"}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=3
min.insync.replicas=2
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
log.segment.bytes=67108864
"""


class KafkaCluster:
    """Brokers that know each other, in folders of their own."""

    def __init__(self, folder: Path) -> None:
        cluster_id = new_cluster_id()
        self.brokers: Sequence[Broker] = [
            Broker(folder / str(node_id), node_id, cluster_id) for node_id in range(1, SIZE + 1)
        ]
        voters = ",".join(
            f"{broker.node_id}@127.0.0.1:{broker.controller_port}" for broker in self.brokers
        )
        for broker in self.brokers:
            broker.voters = voters

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead a Hubbub process here."""
        return {
            "KAFKA_BROKERS": ",".join(broker.address for broker in self.brokers),
            "HUBBUB_REPLICATION": str(SIZE),
        }

    def launch(self) -> None:
        """Start all and return at once."""
        for broker in self.brokers:
            broker.launch()

    def wait_answers(self) -> None:
        """Return when every broker answers; raises as `Server.start` does."""
        deadline = time.monotonic() + START_SECONDS
        for broker in self.brokers:
            broker.wait_answers(max(deadline - time.monotonic(), 1))

    def kill(self) -> None:
        """Kill every broker."""
        for broker in self.brokers:
            broker.kill()
