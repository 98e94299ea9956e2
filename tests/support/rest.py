"""A gateway in the test's own process, called over HTTP, and what its calls left behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.archive.applied import Applied
from app.archive.documents import render
from app.archive.marks import Marks
from app.clients import Database
from app.commands.release import release
from app.keys import channel_stream
from app.settings import Settings
from app.stream_log.log import Append, Entry, Source
from app.topics import MESSAGES, Topic
from web.answers import Message, MessagePage, ProblemDetails
from web.application import create_application
from web.deps import Gateway
from web.keys import GATEWAY

Client = TestClient[web.Request, web.Application]

ALICE = {"X-User-Id": "alice", "X-User-Name": "Alice"}
BOB = {"X-User-Id": "bob", "X-User-Name": "Bob"}


@asynccontextmanager
async def running_gateway(settings: Settings) -> AsyncIterator[Client]:
    """A gateway on provisioned servers, started and stopped as the real process does it."""
    await release(settings)
    async with TestClient(TestServer(create_application(settings))) as client:
        yield client


def gateway_of(client: Client) -> Gateway:
    """What the gateway behind `client` works with."""
    application = client.app
    assert application is not None
    return application[GATEWAY]


async def send(client: Client, channel: str, content: str = "Hello", **more: Any) -> ClientResponse:
    """Post a message of Alice's."""
    body = {"content": content, "channelId": channel, "senderId": "alice", "senderName": "Alice"}
    return await client.post("/api/messages", json={**body, **more})


async def sent(client: Client, channel: str, content: str = "Hello", **more: Any) -> Any:
    """Post a message of Alice's, which must be accepted, and return it."""
    response = await send(client, channel, content, **more)
    assert response.status == 201, await response.text()
    Message.model_validate_json(await response.read())
    return orjson.loads(await response.read())


async def problem(response: ClientResponse) -> tuple[int, str, list[str]]:
    """The status, the code and the named fields of an error, whose form is checked here."""
    body = orjson.loads(await response.read())
    ProblemDetails.model_validate(body)
    assert response.content_type == "application/problem+json"
    assert body["status"] == response.status
    assert body["type"] == f"/api/docs/errors#{body['code']}"
    assert body["title"]
    assert body["detail"]
    return response.status, body["code"], [error["path"] for error in body.get("errors", [])]


async def published(settings: Settings, channel: str, topic: Topic = MESSAGES) -> list[Any]:
    """Every record of a channel that is in a topic now, in order, decoded from JSON."""
    consumer = AIOKafkaConsumer(bootstrap_servers=list(settings.kafka_brokers))
    await consumer.start()
    try:
        places = [TopicPartition(topic.name, n) for n in range(settings.topic_partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found: list[Any] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [r.value for r in records if r.key == channel.encode()]
    finally:
        await consumer.stop()
    return [orjson.loads(value) for value in found]


async def number_all(client: Client, channel: str, database: Database) -> None:
    """Do what the messages agent does: number a channel's messages and append them to its log."""
    gateway = gateway_of(client)
    found = await database["messages"].find({"channelId": channel}).sort("_id", 1).to_list(None)
    entries = []
    for number, document in enumerate(found, start=1):
        mark = Applied(document["_id"], MESSAGES.name, document["rev"], "a", 0, number, number)
        await Marks(database).apply([mark])
        message = render({**document, "number": number})
        entries.append(
            Entry(number, "message", message, number, "push", document["_id"], document["rev"])
        )
    await gateway.log.append(
        Source(MESSAGES.name, 0, "a"), [Append(channel_stream(channel), entries, 0)]
    )


async def forget(client: Client, channel: str) -> None:
    """Delete a channel's cache list."""
    await gateway_of(client).redis.delete(channel_stream(channel).name)


async def page(client: Client, **query: str | int) -> tuple[list[int], str | None, str]:
    """A page's numbers, its `next`, and whether it was a cache hit."""
    response = await client.get("/api/messages", params=query)
    body = orjson.loads(await response.read())
    assert response.status == 200, body
    MessagePage.model_validate(body)
    return [m["number"] for m in body["items"]], body["next"], response.headers["X-Cache"]
