"""What the REST calls answer while Kafka, Redis or MongoDB does not."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import orjson
import pytest

from app.clients import Database
from app.ids import new_id
from app.publisher import FAILURES_BEFORE_NOT_WAITING
from app.settings import Settings
from dev.servers import Kafka, MongoDB, Redis, Server
from tests.support.rest import (
    Client,
    forget,
    number_all,
    page,
    problem,
    published,
    running_gateway,
    send,
    sent,
)
from tests.support.waiting import until


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with running_gateway(settings) as client:
        yield client


@pytest.fixture
def channel() -> str:
    """A channel of the test's own: Kafka is shared by the session."""
    return f"c.{new_id()}"


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


async def readiness(client: Client) -> tuple[int, str, list[str]]:
    response = await client.get("/readyz")
    body = orjson.loads(await response.read())
    failed = [name for name, state in body["dependencies"].items() if not state["ok"]]
    return response.status, body["status"], failed


async def until_well(client: Client) -> None:
    """Return when every dependency answers the gateway."""

    async def is_well() -> bool:
        return await readiness(client) == (200, "ok", [])

    await until(is_well)


async def test_redis_frozen_costs_reads_the_cache_and_nothing_else(
    client: Client, channel: str, database: Database, redis_server: Redis
) -> None:
    for n in range(3):
        await sent(client, channel, str(n))
    await number_all(client, channel, database)
    with frozen(redis_server):
        assert (await send(client, channel)).status == 201
        assert await page(client, channelId=channel) == ([3, 2, 1], None, "miss")
        started = time.monotonic()
        for _ in range(5):
            assert await page(client, channelId=channel) == ([3, 2, 1], None, "miss")
        assert time.monotonic() - started < 3  # Not a second each.
        assert await readiness(client) == (200, "degraded", ["redis"])

    async def is_hit() -> bool:
        return (await page(client, channelId=channel))[2] == "hit"

    await until(is_hit)
    await until_well(client)


async def test_mongodb_frozen_refuses_writes_and_serves_the_cache(
    client: Client, channel: str, database: Database, mongodb_server: MongoDB
) -> None:
    other = f"{channel}.other"
    message = await sent(client, channel)
    await sent(client, other)
    await number_all(client, channel, database)
    await number_all(client, other, database)
    await forget(client, other)
    with frozen(mongodb_server):
        assert await page(client, channelId=channel, limit=1) == ([1], None, "hit")
        started = time.monotonic()
        refused = await asyncio.gather(
            send(client, channel, nonce="k"),
            send(client, channel),
            client.get(f"/api/messages/{message['id']}"),
            client.get("/api/messages", params={"channelId": other}),
            client.delete(f"/api/messages/{message['id']}", headers={"X-User-Id": "alice"}),
        )
        assert 4.5 < time.monotonic() - started < 9
        for response in refused:
            assert await problem(response) == (503, "unavailable", [])
            assert orjson.loads(await response.read())["dependency"] == "mongodb"
            assert int(response.headers["Retry-After"]) > 0
        assert await page(client, channelId=channel, limit=1) == ([1], None, "hit")
        assert await readiness(client) == (503, "unavailable", ["mongodb"])
    assert (await send(client, channel, nonce="k")).status in (200, 201)
    assert await database["messages"].count_documents({"idempotencyKey": "k"}) == 1
    await until_well(client)


async def test_kafka_frozen_delays_nothing_for_long_and_loses_nothing(
    client: Client, channel: str, settings: Settings, kafka_server: Kafka
) -> None:
    await sent(client, channel, "0")
    with frozen(kafka_server):
        started = time.monotonic()
        await sent(client, channel, "1")
        assert 0.4 < time.monotonic() - started < 5
        waiting = range(2, FAILURES_BEFORE_NOT_WAITING + 1)
        await asyncio.gather(*(sent(client, channel, str(n)) for n in waiting))
        started = time.monotonic()
        for n in range(100, 110):
            await sent(client, channel, str(n))
        assert time.monotonic() - started < 3  # Not half a second each.
        assert await readiness(client) == (200, "degraded", ["kafka"])
    expected = [*range(FAILURES_BEFORE_NOT_WAITING + 1), *range(100, 110)]
    contents: list[int] = []

    async def is_published() -> bool:
        nonlocal contents
        records = await published(settings, channel)
        contents = [int(record["message"]["content"]) for record in records]
        return len(contents) >= len(expected)

    await until(is_published)
    assert sorted(contents) == expected
    assert contents[-10:] == [*range(100, 110)]
    expected.append(200)
    await sent(client, channel, "200")
    await until(is_published)
    assert sorted(contents) == expected
