"""How far a consumer group is behind: what it has committed, beside what Kafka has.

Asked of Kafka over a connection of its own: a worker that has stopped to consume would itself see
no more records, and so no lag.
"""

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client import Gauge

from app.clients import create_admin, create_reader, stop_consumer
from app.outages import Outage
from app.reading import follow, read_all
from app.settings import Settings
from app.topics import Topic

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0

_LABELS: Final = ("group", "topic", "partition")
_lag = Gauge("hubbub_consumer_lag", "Records that the group has not committed.", _LABELS)
_lag_seconds = Gauge(
    "hubbub_consumer_lag_seconds", "Age of the oldest record that the group has not committed.",
    _LABELS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lag:
    """A group's place in a partition. `committed` is None where it has committed nothing yet;
    `seconds` is the age of the oldest record that it has not committed."""

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    seconds: float


async def read_lags(
    admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer, topic: Topic, partitions: int
) -> list[Lag]:
    """Return the lag of a topic's group in each of its partitions.

    Raises:
        aiokafka.errors.KafkaError: Kafka does not answer.
    """
    places = [TopicPartition(topic.name, partition) for partition in range(partitions)]
    offsets = await admin.list_consumer_group_offsets(topic.group)
    follow(reader, places)
    begins, ends = await reader.beginning_offsets(places), await reader.end_offsets(places)
    lags = []
    for place in places:
        committed = offsets[place].offset if place in offsets else None
        start = begins[place] if committed is None else max(committed, begins[place])
        lag = max(0, ends[place] - start)
        seconds = await _age(reader, place, start) if lag else 0.0
        lags.append(
            Lag(topic.group, topic.name, place.partition, committed, ends[place], lag, seconds)
        )
    # A reader that follows something looks five times a second whether it may fetch of it.
    reader.unsubscribe()
    return lags


async def _age(reader: AIOKafkaConsumer, place: TopicPartition, offset: int) -> float:
    seconds = 0.0
    async with aclosing(read_all(reader, [place], start=offset)) as records:
        async for record in records:
            seconds = max(0.0, round(time.time() - int(record.timestamp) / 1000, 1))
            break
    return seconds


async def watch_lag(settings: Settings, topic: Topic, partitions: int) -> None:
    """Keep the gauges of a group's lag up to date, for ever; through an outage they stand still."""
    while True:
        try:
            await _measure(settings, topic, partitions)
        except Outage:
            pass
        except Exception:
            # A defect of a gauge is no reason to end a worker.
            log.exception("lag_unknown")
        await asyncio.sleep(LOOK_SECONDS)


async def _measure(settings: Settings, topic: Topic, partitions: int) -> None:
    """Measure until Kafka fails."""
    admin, reader = create_admin(settings), create_reader(settings)
    try:
        await admin.start()
        await reader.start()
        while True:
            for lag in await read_lags(admin, reader, topic, partitions):
                labels = (lag.group, lag.topic, str(lag.partition))
                _lag.labels(*labels).set(lag.lag)
                _lag_seconds.labels(*labels).set(lag.seconds)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await stop_consumer(reader)
        await admin.close()
