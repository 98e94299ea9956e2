"""The record of a cancelled agent is acknowledged, and committed by the stop that cancelled it."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from app.topics import Topic
from tests.support.flavours import Flavour, read_event, running, send, until


async def test_record_whose_handler_was_cancelled_is_not_committed(
    flavour: type[Flavour],
    application: Any,
    topic: Topic,
    producer: AIOKafkaProducer,
    admin: AIOKafkaAdminClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.streaming.application.STOP_SECONDS", 0.2)
    begun: list[int] = []

    async def handle(number: int) -> None:
        begun.append(number)
        await asyncio.Event().wait()

    flavour.register(application, topic, handle)
    async with running(application):
        await send(producer, topic, read_event(1))
        await until(lambda: begun == [1])
    assert await admin.list_consumer_group_offsets(topic.group) == {}
