"""Connections to Redis, MongoDB and Kafka: open, ping, wait for, close."""

import asyncio
import logging
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote_plus

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from hiredis import PushNotification
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo.collection import Collection as BlockingCollection
from pymongo.errors import PyMongoError
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from app.errors import SettingsError, Unavailable, UnfitServer
from app.outages import Outage
from app.settings import Settings, variable_of

log = logging.getLogger(__name__)

PING_SECONDS: Final = 2.0
MONGODB_SECONDS: Final = 5.0
"""What a request waits for MongoDB before it is answered with 503."""

_STOP_SECONDS: Final = 0.5
"""What a consumer gets to stop before its fetcher is told again."""

REDIS_VERSION: Final = (6, 2)
"""What is older lacks commands that the scripts use."""

Database = AsyncIOMotorDatabase[dict[str, Any]]
Collection = AsyncIOMotorCollection[dict[str, Any]]
Session = AsyncIOMotorClientSession
"""Motor's, named here alone, so that PyMongo's own asynchronous client can take its place."""


class _RedisConnection(Connection):
    """Sends commands and reads answers at less cost, in the same bytes.

    hiredis spells commands, as it does for redis-py where it is not asynchronous: in Python that
    takes five times as long, and a script of fifty messages has hundreds of arguments. And what
    does not have to wait needs no timer, which it always has in redis-py: neither a write that the
    socket takes, nor an answer that has come together with the one before.
    """

    _serializer: Final = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        spelled: list[bytes] = self._serializer.pack(*args)
        return spelled

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join([self.pack_command(*command)[0] for command in commands])]

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        writer = self._writer
        if (
            writer is None
            or isinstance(command, (bytes, str))
            or writer.transport.is_closing()
            or writer.transport.get_write_buffer_size()
        ):
            await super().send_packed_command(command, check_health)
        else:
            # What the socket does not take at once, the next command waits for.
            writer.writelines(command)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        parser: Any = self._parser
        if not args and not options and self.is_connected and parser._reader.has_data():
            answer = parser._reader.gets()
            if isinstance(answer, RedisConnectionError):
                await self.disconnect(nowait=True)
                raise answer
            if isinstance(answer, ResponseError):
                raise answer
            if isinstance(answer, PushNotification):
                await parser.handle_push_response(answer)
            elif answer is not NOT_ENOUGH_DATA:
                return answer
        return await super().read_response(*args, **options)


def open_redis(settings: Settings) -> "Redis":
    """Return a client of Redis; it connects when it is first used, and again after a loss."""
    redis = Redis(
        host=settings.redis_host,
        port=settings.redis_port,
        socket_timeout=5,
        socket_connect_timeout=PING_SECONDS,
        client_name=settings.kafka_client_id,
    )
    redis.connection_pool.connection_class = _RedisConnection
    return redis


def open_mongodb(settings: Settings) -> Database:
    """Return the database that the settings name; it connects when it is first used.

    Raises:
        SettingsError: PyMongo cannot read the URI, or would leave out a part of it.
    """
    try:
        with warnings.catch_warnings():
            # What it only warns of, an unknown option or a wrong value, it then ignores.
            warnings.simplefilter("error", UserWarning)
            return _open_mongodb(settings)
    except (PyMongoError, ValueError, OSError, UserWarning) as error:
        raise SettingsError(f"{variable_of('mongodb_uri')}: {error}") from None


def _open_mongodb(settings: Settings) -> Database:
    uri = settings.mongodb_uri.get_secret_value()
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        uri,
        tz_aware=True,
        appname=settings.kafka_client_id,
        serverSelectionTimeoutMS=int(MONGODB_SECONDS * 1000),
        connectTimeoutMS=int(PING_SECONDS * 1000),
        # Nobody waits for longer, and a stop must not wait for the thread that does.
        socketTimeoutMS=int(MONGODB_SECONDS * 1000),
        # Whatever the URI says: what was written a moment ago is planned with, and answered.
        readPreference="primary",
        # A change that only a minority has is not accepted: it could be rolled back.
        w="majority",
        wTimeoutMS=int(MONGODB_SECONDS * 1000),
        journal=True,
    )
    # Not by urlsplit, for which a password's # is the beginning of a fragment.
    hosts_and_name = uri.partition("://")[2].partition("?")[0].rpartition("@")[2]
    return client.get_database(unquote_plus(hosts_and_name.partition("/")[2]) or "hubbub")


def for_threads(collection: Collection) -> BlockingCollection[dict[str, Any]]:
    """Return the same collection, on the same connections, as it is called in a thread."""
    blocking: BlockingCollection[dict[str, Any]] = collection.delegate
    return blocking


def create_producer(settings: Settings) -> AIOKafkaProducer:
    """Return a producer, not yet started: all replicas acknowledge, and a repeat is no double."""
    return AIOKafkaProducer(
        bootstrap_servers=list(settings.kafka_brokers),
        client_id=settings.kafka_client_id,
        acks="all",
        enable_idempotence=True,
        max_batch_size=131_072,
        max_request_size=1_048_576,
        request_timeout_ms=30_000,
        retry_backoff_ms=100,
    )


def create_reader(settings: Settings) -> AIOKafkaConsumer:
    """Return a consumer without a group, not yet started: it looks and leaves no trace."""
    return AIOKafkaConsumer(
        bootstrap_servers=list(settings.kafka_brokers),
        client_id=settings.kafka_client_id,
        request_timeout_ms=10_000,
        auto_offset_reset="earliest",
    )


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, whatever it is doing.

    aiokafka's own `stop` (0.14.0) may wait for ever. Its fetcher is cancelled once; if it waits
    just then for a fetch that it has itself cancelled, since another partition was assigned, it
    takes the one cancellation for the other's, and goes on. So it is told until it ends.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    try:
        while not (await asyncio.wait([stopping], timeout=_STOP_SECONDS))[0]:
            if consumer._fetcher is not None and consumer._fetcher._closed:
                consumer._fetcher._fetch_task.cancel()
    finally:
        stopping.cancel()
    await stopping


def create_admin(settings: Settings) -> AIOKafkaAdminClient:
    """Return a client for topics and groups, not yet started."""
    return AIOKafkaAdminClient(
        bootstrap_servers=list(settings.kafka_brokers), client_id=settings.kafka_client_id
    )


async def wait_for(
    name: str, connect: Callable[[], Awaitable[object]], *, timeout_seconds: float
) -> None:
    """Call `connect` until it succeeds, saying once that a start waits for `name`.

    Raises:
        Unavailable: it has not succeeded within `timeout_seconds`.
    """
    deadline = time.monotonic() + timeout_seconds
    said = False
    while True:
        try:
            left = max(deadline - time.monotonic(), 0.5)
            await asyncio.wait_for(connect(), min(left, PING_SECONDS * 2))
        except Outage as error:
            if not said:
                log.warning("waiting_for_dependency", extra={"dependency": name})
                said = True
            if time.monotonic() > deadline:
                detail = f"{name} does not answer after {timeout_seconds:g} s"
                raise Unavailable(name, detail) from error
            await asyncio.sleep(0.25)
        else:
            if said:
                log.info("dependency_answers", extra={"dependency": name})
            return


async def ensure_fit(redis: "Redis") -> None:
    """Ask Redis what it is; raises as `check_fit` does, or an outage."""
    server, memory = await redis.info("server"), await redis.info("memory")
    check_fit(str(server["redis_version"]), str(memory["maxmemory_policy"]))


def check_fit(version: str, policy: str) -> None:
    """Check a Redis by its version and its `maxmemory-policy`; see docs/events.md, Redis keys.

    Raises:
        UnfitServer: it is older than 6.2, or may evict keys that have no TTL.
    """
    if tuple(map(int, version.split(".")[:2])) < REDIS_VERSION:
        wanted = ".".join(map(str, REDIS_VERSION))
        raise UnfitServer(f"redis is version {version}; it must be {wanted} or newer")
    if policy.startswith("allkeys"):
        raise UnfitServer(
            f"redis has maxmemory-policy {policy}, which evicts what must stay; "
            "it must be noeviction or volatile-*"
        )
