"""Order and patience of the publisher, beside a producer that does as the test says."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiokafka.errors import KafkaTimeoutError

from app import publisher as module
from app.outgoing import Reacted
from app.publisher import FAILURES_BEFORE_NOT_WAITING, Publisher
from app.topics import MESSAGES


class Producer:
    """Lets a send in when `open` is set, and acknowledges it when `acknowledging` is."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.acknowledging = True
        self.fails = False
        self.values: list[bytes] = []

    async def send(self, topic: str, *, value: bytes, **_: Any) -> "asyncio.Future[None]":
        if self.fails:
            raise KafkaTimeoutError
        # As aiokafka does: a full batch is waited for again by whoever finds it full.
        if not self.open.is_set():
            await self.open.wait()
            await asyncio.sleep(0.01)
        self.values.append(value)
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.acknowledging:
            acknowledged.set_result(None)
        return acknowledged


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits in vain but those that say so, and none goes on while its machine stalls."""
    monkeypatch.setattr(module, "WAIT_SECONDS", 60)


def publisher_of(producer: Producer) -> Publisher:
    return Publisher(producer, messages=None)  # type: ignore[arg-type]  # neither is reached


async def publish(publisher: Publisher, value: bytes) -> bool:
    return await publisher.publish(MESSAGES, "c", value, "00-0-0-00")


async def test_records_of_a_key_keep_their_order_when_the_producer_lets_one_wait() -> None:
    producer = Producer()
    publisher = publisher_of(producer)
    early = [asyncio.create_task(publish(publisher, b"%d" % n)) for n in range(3)]
    await asyncio.sleep(0.01)
    producer.open.set()
    late = [asyncio.create_task(publish(publisher, b"%d" % n)) for n in range(3, 6)]
    assert await asyncio.gather(*early, *late) == [True] * 6
    assert producer.values == [b"%d" % n for n in range(6)]


async def test_publish_without_an_answer_waits_a_second_then_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    producer = Producer()
    publisher = publisher_of(producer)
    assert not await publish(publisher, b"1")
    producer.open.set()
    await publisher.drain(30)
    assert producer.values == [b"1"]


async def test_publish_after_twenty_failures_does_not_wait_until_one_succeeds() -> None:
    producer = Producer()
    producer.fails = True
    publisher = publisher_of(producer)
    for _ in range(FAILURES_BEFORE_NOT_WAITING):
        assert not await publish(publisher, b"lost")
    producer.fails = False
    async with asyncio.timeout(30):
        for _ in range(10):
            assert not await publish(publisher, b"later")
    producer.open.set()
    await publisher.drain(30)
    assert producer.values == [b"later"] * 10
    assert await publish(publisher, b"now")


async def test_record_beyond_the_bound_is_left_to_the_reconciler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT", 2)
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    producer = Producer()
    publisher = publisher_of(producer)
    for n in range(4):
        assert not await publish(publisher, b"%d" % n)
    producer.open.set()
    await publisher.drain(30)
    assert producer.values == [b"0", b"1"]


async def test_drain_ends_in_time_and_leaves_nothing_running() -> None:
    producer = Producer()
    publisher = publisher_of(producer)
    waiting = asyncio.create_task(publish(publisher, b"1"))
    await asyncio.sleep(0)
    await publisher.drain(0.02)
    assert not await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Archive:
    """Has a message that gets its number when it is asked for the second time."""

    def __init__(self, **document: Any) -> None:
        self.document = {
            "_id": "m",
            "channelId": "c",
            "rev": 3,
            "senderId": "u",
            "senderName": "U",
            "content": "x",
            "createdAt": datetime(2026, 1, 1, tzinfo=UTC),
            "changedAt": datetime(2026, 1, 1, tzinfo=UTC),
            "pendingSince": datetime(2026, 1, 1, tzinfo=UTC),
            **document,
        }
        self.asked = 0

    async def get(self, _: str) -> dict[str, Any]:
        self.asked += 1
        return self.document if self.asked < 2 else {**self.document, "number": 7}


async def test_reaction_to_a_message_without_number_is_published_when_it_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOKS_AFTER_SECONDS", (0.01, 0.02, 0.03))
    producer, archive = Producer(), Archive()
    producer.open.set()
    publisher = Publisher(producer, archive)  # type: ignore[arg-type]  # in place of both
    reacted = Reacted("reaction_added", "👍", "ann", 2)
    assert not await publisher.publish_reaction(reacted, archive.document, "00-0-0-00")
    assert producer.values == []
    await publisher.drain(30)
    (value,) = [orjson.loads(value) for value in producer.values]
    assert (value["eventId"], value["rev"], value["type"]) == ("m:2", 2, "reaction_added")
    assert (value["messageId"], value["emoji"], value["userId"]) == ("m", "👍", "ann")
    # The whole message as it is by now.
    assert (value["message"]["rev"], value["message"]["number"]) == (3, 7)
    assert archive.asked == 2


async def test_reaction_that_was_applied_meanwhile_is_not_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOKS_AFTER_SECONDS", (0.01,))
    producer, archive = Producer(), Archive()
    producer.open.set()
    publisher = Publisher(producer, archive)  # type: ignore[arg-type]  # in place of both
    del archive.document["pendingSince"]
    reacted = Reacted("reaction_removed", "👍", "ann", 2)
    assert not await publisher.publish_reaction(reacted, archive.document, "00-0-0-00")
    await publisher.drain(30)
    assert producer.values == []
