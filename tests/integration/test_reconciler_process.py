"""The reconciler in a worker's process, and a worker whose topic was made anew."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.ids import new_id
from dev.processes import Process
from tests.support.clients import websocket
from tests.support.stack import Stack, Stored
from tests.support.topics import create_topics


@pytest.fixture
def documents(stored: Stored) -> Any:
    return stored["messages"]


def accept(documents: Any, channel: str) -> str:
    """Leave what a gateway leaves that is killed between MongoDB and Kafka; return the id."""
    now = datetime.now(UTC)
    document: dict[str, Any] = {
        "_id": new_id(), "channelId": channel, "senderId": "u1", "senderName": "John",
        "content": "never published", "replyTo": None, "mentions": [], "metadata": "{}",
        "rev": 1, "reactions": [], "createdAt": now, "changedAt": now, "pendingSince": now,
    }  # fmt: skip
    documents.insert_one(document)
    return str(document["_id"])


async def test_message_of_a_gateway_that_was_killed_reaches_the_clients(
    stack: Stack, documents: Any
) -> None:
    gateway, worker = stack.start("web.1", "messages.1")
    async with websocket(gateway.url) as client:
        await client.join("orphan")
        message_id = accept(documents, "orphan")
        frame = await client.until_type("message")
    assert (frame["data"]["id"], frame["data"]["number"]) == (message_id, 1)
    assert worker.is_running


async def test_worker_of_a_topic_that_was_made_anew_stops_with_one_line(stack: Stack) -> None:
    """Running or started, until the topic is adopted."""
    running = stack.start("reactions.1")[0]
    await make_anew(stack, "reactions")
    assert await asyncio.to_thread(running.wait, 45) == 1
    line = "hubbub: topic reactions was made anew; run: python -m app topics adopt reactions"
    assert running.log_text().splitlines()[-1] == line
    started = stack.process("reactions.2")
    started.start()
    assert await asyncio.to_thread(started.wait, 45) == 1
    assert started.log_text().splitlines()[-1] == line
    assert await run(stack, "release") == 1
    assert await run(stack, "topics", "adopt", "reactions") == 0
    assert await run(stack, "release") == 0
    stack.start("reactions.3")


async def run(stack: Stack, *arguments: str) -> int:
    """Run a command; return its exit status."""
    process = Process(
        "-".join(arguments),
        ["python", "-m", "app", *arguments],
        environment=stack.environment,
        folder=stack.folder,
    )
    process.start()
    return await asyncio.to_thread(process.wait, 45)


async def make_anew(stack: Stack, topic: str) -> None:
    """Delete a topic and make it again, as somebody does who wants it empty."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.address)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        async with asyncio.timeout(45):
            while topic in await admin.list_topics():
                await asyncio.sleep(0.1)
        await create_topics(admin, [NewTopic(topic, 4, 1)])
    finally:
        await admin.close()
