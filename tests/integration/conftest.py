"""Real servers for the integration tests: one of each for the session, on free ports.

A test of whole processes has a `stack` instead, its module's own.
"""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from pymongo import MongoClient
from redis.asyncio import Redis as RedisClient

from app.clients import Database, create_producer, open_mongodb, open_redis
from app.settings import Settings, load
from dev.processes import Process
from dev.servers import Kafka, MongoDB, Redis
from tests.support.stack import Stack, Stored, running_stack


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoDB]:
    with MongoDB(tmp_path_factory.mktemp("mongodb")) as server:
        yield server


@pytest.fixture
def database_name() -> str:
    """A database of the test's own."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def redis(redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisClient]:
    _apply(monkeypatch, redis_server.environment)
    client = open_redis(load())
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def database(
    mongodb_server: MongoDB, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    uri = mongodb_server.environment["MONGODB_URI"].replace("/hubbub?", f"/{database_name}?")
    _apply(monkeypatch, {"MONGODB_URI": uri})
    database = open_mongodb(load())
    yield database
    await database.client.drop_database(database_name)
    database.client.close()


@pytest.fixture
def settings(
    kafka_server: Kafka, redis: RedisClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The settings that lead to this session's servers and this test's database."""
    _apply(monkeypatch, kafka_server.environment)
    return load()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
def stored(stack: Stack) -> Iterator[Stored]:
    """The database of the stack."""
    with MongoClient[dict[str, Any]](stack.mongodb.environment["MONGODB_URI"]) as client:
        yield client["hubbub"]


@pytest.fixture(scope="module")
def one(processes: dict[str, Process]) -> str:
    """The address of the first of a module's `processes` that are gateways."""
    return processes["web.1"].url


@pytest.fixture(scope="module")
def two(processes: dict[str, Process]) -> str:
    """The address of the second."""
    return processes["web.2"].url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def _apply(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer as gateways have it."""
    producer = create_producer(settings)
    await producer.start()
    yield producer
    await producer.stop()
