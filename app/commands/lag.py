"""`lag`: how far each consumer group is behind, by partition."""

from dataclasses import asdict

from app.archive.topics import TopicRegistry
from app.commands.output import print_json, print_table
from app.commands.servers import kafka_admin, kafka_reader, mongodb
from app.lag import Lag, read_lags
from app.settings import Settings
from app.topics import TOPICS


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
                lags += await read_lags(admin, reader, topic, noted[topic.name].partitions)
    if as_json:
        print_json([asdict(lag) for lag in lags])
    else:
        head = ("group", "topic", "partition", "committed", "end", "lag", "seconds behind")
        print_table(head, [tuple(asdict(lag).values()) for lag in lags])
    return 0
