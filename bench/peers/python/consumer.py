"""The consumer of the Python reference: aiokafka, the cache in Redis, python-socketio's emit."""

import asyncio
import os
import signal
from contextlib import suppress

import orjson
import socketio
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from effects import TOPIC, keep, redis_url, serve
from redis.asyncio import Redis


async def consume() -> None:
    """Consume until told to end (SIGTERM), then leave the group, which would wait for it."""
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    redis = Redis.from_url(redis_url())
    clients = socketio.AsyncRedisManager(redis_url(), write_only=True)
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=os.environ["KAFKA_BROKERS"],
        group_id="python-messages-group",
        auto_offset_reset="earliest",
    )
    await consumer.start()  # It has its partitions now.
    await serve(web.Application())
    try:
        async for record in consumer:
            message = orjson.loads(record.value)
            await keep(redis, message["channelId"], record.value)
            await clients.emit("message", message, room=message["channelId"])
    finally:
        await consumer.stop()


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        uvloop.run(consume())
