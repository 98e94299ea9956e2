"""The worker without a guarantee: aiokafka, PyMongo and redis-py in a loop.

It brings about what Hubbub's messages worker does to a message (number, cache, publication) for
batches of up to 500, and commits. It numbers from memory, knows no redelivery, no second worker, no
dead letter, no resume: nothing of it survives a crash.
"""

import asyncio
import os
import signal
from collections import defaultdict
from typing import Any, Final

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer
from pymongo import AsyncMongoClient, UpdateOne
from redis.asyncio import Redis

TOPIC: Final = "plain-messages"
DATABASE: Final = "plain_worker"


class Worker:
    """The loop."""

    def __init__(self, messages: Any, redis: Redis) -> None:
        self._messages = messages
        self._redis = redis
        self._numbers: defaultdict[str, int] = defaultdict(int)

    async def handle(self, values: list[bytes]) -> None:
        """Bring about the effects of a batch."""
        events = [orjson.loads(value) for value in values]
        ids = [event["message"]["id"] for event in events]
        known = {document["_id"] async for document in self._messages.find({"_id": {"$in": ids}})}
        writes = []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for event in events:
                message, channel = event["message"], event["channelId"]
                if message["id"] not in known:
                    continue
                self._numbers[channel] += 1
                message["number"] = self._numbers[channel]
                writes.append(
                    UpdateOne(
                        {"_id": message["id"]},
                        {"$set": {"number": message["number"]}, "$unset": {"pendingSince": ""}},
                    )
                )
                text = orjson.dumps(message)
                pipeline.lpush(f"plain:{channel}", text)
                pipeline.ltrim(f"plain:{channel}", 0, 99)
                pipeline.publish(f"plain:{channel}", text)
                pipeline.set(f"number:{channel}", message["number"])
            await self._messages.bulk_write(writes, ordered=False)
            await pipeline.execute()


async def consume() -> None:
    """Consume until told to end (SIGTERM), to the end of a batch and its commit."""
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    redis = Redis(host=os.environ["REDIS_HOST"], port=int(os.environ["REDIS_PORT"]))
    mongo: Any = AsyncMongoClient(os.environ["MONGODB_URI"])
    worker = Worker(mongo[DATABASE]["messages"], redis)
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=os.environ["KAFKA_BROKERS"],
        group_id="plain-messages-group",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        while not ending.is_set():
            batches = await consumer.getmany(timeout_ms=200, max_records=500)
            for records in batches.values():
                await worker.handle([record.value for record in records])
            if batches:
                await consumer.commit()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    uvloop.run(consume())
