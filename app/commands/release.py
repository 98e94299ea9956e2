"""`release`: provision topics and indexes. Idempotent; runs before every deploy."""

import asyncio
import logging
import time
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from app.archive.indexes import ensure_indexes
from app.archive.topics import TopicRegistry
from app.clients import create_admin, open_mongodb, wait_for
from app.errors import ProvisionError
from app.settings import Settings
from app.topics import TOPICS, Topic

log = logging.getLogger(__name__)

KNOWN_SECONDS: Final = 10.0
"""How long a topic that was just made may stay unknown to the broker that is asked."""


async def release(settings: Settings) -> None:
    """Make what is missing, note each topic's incarnation, and refuse what differs.

    Raises:
        Unavailable: MongoDB or Kafka does not answer.
        ProvisionError: a topic has another number of partitions than it was made with.
    """
    timeout = settings.start_timeout_seconds
    database = open_mongodb(settings)
    admin = create_admin(settings)
    try:
        await wait_for("mongodb", lambda: database.command("ping"), timeout_seconds=timeout)
        await ensure_indexes(database)
        await wait_for("kafka", admin.start, timeout_seconds=timeout)
        counts = await _provision(admin, settings)
        registry = TopicRegistry(database)
        for name, partitions in counts.items():
            await registry.register(name, partitions)
    finally:
        await admin.close()
        database.client.close()
    log.info("provisioned", extra={"topics": counts})


async def _provision(admin: AIOKafkaAdminClient, settings: Settings) -> dict[str, int]:
    wanted = [item for topic in TOPICS for item in _new_topics(topic, settings)]
    response = await admin.create_topics(wanted)
    for name, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise ProvisionError(f"topic {name} could not be made: {error.__name__}")
    names = [item.name for item in wanted]
    counts = {topic["topic"]: len(topic["partitions"]) for topic in await _describe(admin, names)}
    for topic in TOPICS:
        for name in (topic.dead_letters, *topic.changelogs):
            if counts[topic.name] != counts[name]:
                raise ProvisionError(f"{topic.name} and {name} differ in partitions")
    return counts


async def _describe(admin: AIOKafkaAdminClient, names: list[str]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + KNOWN_SECONDS
    while True:
        topics: list[dict[str, Any]] = await admin.describe_topics(names)
        errors = {t["topic"]: for_code(t["error_code"]) for t in topics if t["error_code"]}
        if not errors:
            return topics
        name, error = next(iter(errors.items()))
        # A broker learns of a new topic from its controller, a moment after that has made it.
        if error is not UnknownTopicOrPartitionError or time.monotonic() > deadline:
            raise ProvisionError(f"topic {name}: {error.__name__}")
        await asyncio.sleep(0.1)


def _new_topics(topic: Topic, settings: Settings) -> list[NewTopic]:
    replicas = settings.topic_replication
    policies = {
        topic.name: _kept_for(settings.retention_hours),
        topic.dead_letters: _kept_for(settings.dead_letter_retention_hours),
        **{name: {"cleanup.policy": "compact"} for name in topic.changelogs},
    }
    return [
        NewTopic(
            name=name,
            num_partitions=settings.topic_partitions,
            replication_factor=replicas,
            topic_configs={"min.insync.replicas": str(min(2, replicas)), **policy},
        )
        for name, policy in policies.items()
    ]


def _kept_for(hours: int) -> dict[str, str]:
    return {"retention.ms": str(hours * 3_600_000)}
