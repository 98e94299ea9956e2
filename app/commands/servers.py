"""The servers that a command works with: waited for, and closed at its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from redis.asyncio import Redis

from app.clients import (
    Database,
    create_admin,
    create_producer,
    create_reader,
    open_mongodb,
    open_redis,
    stop_consumer,
    wait_for,
)
from app.settings import Settings


@asynccontextmanager
async def mongodb(settings: Settings) -> AsyncIterator[Database]:
    """The database; raises Unavailable as all of these do."""
    database = open_mongodb(settings)
    try:
        timeout = settings.start_timeout_seconds
        await wait_for("mongodb", lambda: database.command("ping"), timeout_seconds=timeout)
        yield database
    finally:
        database.client.close()


@asynccontextmanager
async def redis_client(settings: Settings) -> AsyncIterator[Redis]:
    """A client of Redis."""
    redis = open_redis(settings)
    try:
        timeout = settings.start_timeout_seconds
        await wait_for("redis", redis.ping, timeout_seconds=timeout)
        yield redis
    finally:
        await redis.aclose()


@asynccontextmanager
async def kafka_admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for topics and groups."""
    admin = create_admin(settings)
    try:
        timeout = settings.start_timeout_seconds
        await wait_for("kafka", admin.start, timeout_seconds=timeout)
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def kafka_reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group."""
    reader = create_reader(settings)
    try:
        timeout = settings.start_timeout_seconds
        await wait_for("kafka", reader.start, timeout_seconds=timeout)
        yield reader
    finally:
        await stop_consumer(reader)


@asynccontextmanager
async def kafka_producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer as the gateways have it."""
    producer = create_producer(settings)
    try:
        timeout = settings.start_timeout_seconds
        await wait_for("kafka", producer.start, timeout_seconds=timeout)
        yield producer
    finally:
        await producer.stop()
