"""`lag`: how far each consumer group is behind, by partition."""

import time
from dataclasses import asdict, dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from app.archive.topics import TopicRegistry
from app.commands.output import print_json, print_table
from app.commands.reading import read_all
from app.commands.servers import kafka_admin, kafka_reader, mongodb
from app.settings import Settings
from app.topics import TOPICS, Topic


@dataclass(frozen=True, slots=True)
class Lag:
    """A group's place in a partition. `committed` is None where it has read nothing yet;
    `seconds` is the age of the oldest record that it has not committed."""

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    seconds: float


async def show_lag(settings: Settings, *, as_json: bool) -> int:
    """Print every group's lag in every partition of its topic.

    Raises:
        Unavailable: MongoDB or Kafka does not answer.
    """
    lags: list[Lag] = []
    async with (
        mongodb(settings) as database,
        kafka_admin(settings) as admin,
        kafka_reader(settings) as reader,
    ):
        noted = await TopicRegistry(database).find_all()
        for topic in TOPICS:
            if topic.name in noted:
                lags += await _read(admin, reader, topic, noted[topic.name].partitions)
    if as_json:
        print_json([asdict(lag) for lag in lags])
    else:
        head = ("group", "topic", "partition", "committed", "end", "lag", "seconds behind")
        print_table(head, [tuple(asdict(lag).values()) for lag in lags])
    return 0


async def _read(
    admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer, topic: Topic, partitions: int
) -> list[Lag]:
    places = [TopicPartition(topic.name, partition) for partition in range(partitions)]
    offsets = await admin.list_consumer_group_offsets(topic.group)
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
    return lags


async def _age(reader: AIOKafkaConsumer, place: TopicPartition, offset: int) -> float:
    async for record in read_all(reader, [place], start=offset):
        return max(0.0, round(time.time() - int(record.timestamp) / 1000, 1))
    return 0.0
