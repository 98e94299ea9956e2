"""What Kafka is told of sessions, and what is kept while it is away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from tests.support.waiting import until
from web import crowds
from web import session_records as module
from web.identity import User
from web.session_records import CLOSING, JOINED, LEFT, Session, SessionRecords


class Producer:
    """Takes records, or refuses them."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str]] = []
        self.attempts = 0
        self.is_away = False

    async def send(
        self, topic: str, *, value: bytes, key: bytes, headers: Any
    ) -> asyncio.Future[None]:
        self.attempts += 1
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_away:
            answer.set_exception(KafkaConnectionError())
        else:
            record = orjson.loads(value)
            self.records.append((record["type"], record.get("sessionId", record["userId"])))
            answer.set_result(None)
        return answer

    async def until_told(self, count: int) -> None:
        """Return when it has taken so many records."""
        await until(lambda: len(self.records) >= count)

    async def until_refused(self) -> None:
        """Return when it has refused a record, and whoever sent it knows that."""
        before = self.attempts
        # The next attempt is made because the one before has failed.
        await until(lambda: self.attempts >= before + 2)


def session(number: int) -> Session:
    return Session(f"s{number}", "c", User(f"u{number}", "Ann"))


@pytest.fixture
def producer() -> Producer:
    return Producer()


@pytest.fixture
async def records(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SessionRecords]:
    monkeypatch.setattr(crowds, "GATHER_SECONDS", 0.01)
    monkeypatch.setattr(crowds, "CROWD_SECONDS", 0.01)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.02)
    records = SessionRecords(cast(AIOKafkaProducer, producer), "g1")
    records.start()
    yield records
    await records.stop(10)


async def test_states_are_told_in_order(producer: Producer, records: SessionRecords) -> None:
    one, two = session(1), session(2)
    records.tell(one, JOINED)
    records.tell(two, JOINED)
    await producer.until_told(2)
    records.tell(two, CLOSING)
    records.tell(one, LEFT)
    await producer.until_told(4)
    assert producer.records == [
        ("user_joined", "s1"),
        ("user_joined", "s2"),
        ("session_closing", "s2"),
        ("user_left", "s1"),
    ]


async def test_session_that_came_and_went_between_two_turns_is_not_told_of(
    producer: Producer, records: SessionRecords
) -> None:
    passing = session(1)
    records.tell(passing, JOINED)
    records.tell(passing, CLOSING)
    records.tell(session(2), JOINED)
    await producer.until_told(1)
    assert producer.records == [("user_joined", "s2")]


async def test_newest_state_is_told_when_kafka_is_back(
    producer: Producer, records: SessionRecords
) -> None:
    known, passing, staying = session(1), session(2), session(3)
    records.tell(known, JOINED)
    await producer.until_told(1)
    producer.is_away = True
    records.tell(known, CLOSING)
    await producer.until_refused()
    for _ in range(100):
        records.tell(passing, JOINED)
        records.tell(passing, CLOSING)
    records.tell(staying, JOINED)
    await producer.until_refused()
    producer.is_away = False
    await producer.until_told(3)
    assert producer.records == [
        ("user_joined", "s1"),
        ("session_closing", "s1"),
        ("user_joined", "s3"),
    ]


async def test_crowd_waits_behind_one_attempt_while_kafka_is_away(
    producer: Producer, records: SessionRecords
) -> None:
    producer.is_away = True
    records.tell(session(0), JOINED)
    await producer.until_refused()
    crowd = [session(number) for number in range(1, 1001)]
    for each in crowd:
        records.tell(each, JOINED)
    await producer.until_refused()
    assert producer.attempts < 20
    for each in crowd:
        records.tell(each, CLOSING)
    records.tell(session(1001), JOINED)
    producer.is_away = False
    await producer.until_told(2)
    # Of those who came and went meanwhile Kafka never knew.
    assert producer.records == [("user_joined", "s0"), ("user_joined", "s1001")]


async def test_typing_is_dropped_while_kafka_is_away(
    producer: Producer, records: SessionRecords
) -> None:
    records.tell_typing("c", User("u1"))
    await producer.until_told(1)
    producer.is_away = True
    records.tell(session(1), JOINED)
    await producer.until_refused()
    records.tell_typing("c", User("u2"))
    records.tell(session(2), JOINED)
    producer.is_away = False
    await producer.until_told(3)
    assert producer.records == [("typing", "u1"), ("user_joined", "s1"), ("user_joined", "s2")]


async def test_typing_goes_out_again_when_whoever_waited_for_kafka_is_gone(
    producer: Producer, records: SessionRecords
) -> None:
    producer.is_away = True
    first, second = session(1), session(2)
    records.tell(first, JOINED)
    await producer.until_refused()
    records.tell(second, JOINED)
    records.tell(second, LEFT)
    records.tell(first, LEFT)
    producer.is_away = False
    await until(lambda: not records._has_failed)
    records.tell_typing("c", User("u3"))
    await producer.until_told(2)
    assert producer.records == [("user_left", "s1"), ("typing", "u3")]


async def test_stop_tells_the_last(producer: Producer, records: SessionRecords) -> None:
    leaving = session(1)
    records.tell(leaving, JOINED)
    await producer.until_told(1)
    records.tell(leaving, CLOSING)
    await records.stop(10)
    assert producer.records[-1] == ("session_closing", "s1")
