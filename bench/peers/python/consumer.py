"""The consumer of the Python reference: aiokafka, the cache in Redis, python-socketio's emit."""

import os

import orjson
import socketio
import uvloop
from aiokafka import AIOKafkaConsumer
from effects import TOPIC, keep, redis_url
from redis.asyncio import Redis


async def consume() -> None:
    """Consume until killed."""
    redis = Redis.from_url(redis_url())
    clients = socketio.AsyncRedisManager(redis_url(), write_only=True)
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=os.environ["KAFKA_BROKERS"],
        group_id="python-messages-group",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async for record in consumer:
            message = orjson.loads(record.value)
            await keep(redis, message["channelId"], record.value)
            await clients.emit("message", message, room=message["channelId"])
    finally:
        await consumer.stop()


if __name__ == "__main__":
    uvloop.run(consume())
