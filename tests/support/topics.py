"""Topics for tests."""

import asyncio
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def create_topics(admin: AIOKafkaAdminClient, topics: Sequence[NewTopic]) -> None:
    """Create topics; return when whoever asks for them finds them, with their leaders.

    Kafka answers before its brokers tell of them: a worker that joins just then gets none, for as
    long as it takes the next look at the metadata.
    """
    await admin.create_topics(list(topics))
    wanted = {topic.name: topic.num_partitions for topic in topics}
    async with asyncio.timeout(30):
        while True:
            found = await admin.describe_topics(list(wanted))
            led = {
                topic["topic"]: sum(place["leader"] >= 0 for place in topic["partitions"])
                for topic in found
                if not topic["error_code"]
            }
            if led == wanted:
                return
            await asyncio.sleep(0.05)
