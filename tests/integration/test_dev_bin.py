"""The console tools in `dev/bin`, on real servers and from another folder."""

import subprocess
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from dev.servers import Kafka, Redis
from tests.support.topics import create_topics

BIN = Path(__file__).parents[2] / "dev" / "bin"


def call(folder: Path, tool: str, *arguments: str) -> str:
    """Run a tool, which must succeed and log nothing; return its answer."""
    done = subprocess.run(
        [str(BIN / tool), *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not {"SLF4J", "WARN", "INFO"} & set(done.stderr.replace(":", " ").split())
    return done.stdout


@pytest.fixture
async def topic(kafka_server: Kafka, tmp_path: Path) -> str:
    """A topic with one record, which the group `<topic>-group` has yet to read."""
    name = f"topic-{tmp_path.name}"
    servers = kafka_server.address
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    consumer = AIOKafkaConsumer(
        name, bootstrap_servers=servers, group_id=f"{name}-group", enable_auto_commit=False
    )
    await admin.start()
    try:
        await create_topics(admin, [NewTopic(name, num_partitions=1, replication_factor=1)])
        async with consumer, producer:
            await consumer.commit({next(iter(consumer.assignment())): 0})
            await producer.send_and_wait(name, b"hello")
    finally:
        await admin.close()
    return name


def test_kafka_consumer_groups_shows_a_group_and_its_lag(
    kafka_server: Kafka, topic: str, tmp_path: Path
) -> None:
    text = call(
        tmp_path, "kafka-consumer-groups.sh",
        "--describe", "--group", f"{topic}-group", "--bootstrap-server", kafka_server.address,
    )  # fmt: skip
    header, row = (
        line.split() for line in text.splitlines() if f"{topic}-" in line or "LAG" in line
    )
    assert header[:6] == ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"]
    assert row[:6] == [f"{topic}-group", topic, "0", "0", "1", "1"]


def test_kafka_topics_lists_topics(kafka_server: Kafka, topic: str, tmp_path: Path) -> None:
    text = call(tmp_path, "kafka-topics.sh", "--list", "--bootstrap-server", kafka_server.address)
    assert topic in text.splitlines()


def test_kafka_console_consumer_prints_records(
    kafka_server: Kafka, topic: str, tmp_path: Path
) -> None:
    text = call(
        tmp_path, "kafka-console-consumer.sh", "--topic", topic, "--from-beginning",
        "--max-messages", "1", "--bootstrap-server", kafka_server.address,
    )  # fmt: skip
    assert text == "hello\n"


def test_redis_cli_talks_to_redis(redis_server: Redis, tmp_path: Path) -> None:
    assert call(tmp_path, "redis-cli", "-p", str(redis_server.port), "ping") == "PONG\n"
