"""Fills Kafka, MongoDB and a table beforehand, in the form in which Hubbub itself writes."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer

from app.archive.members import Members
from app.archive.messages import Draft, Messages
from app.clients import Database, create_producer
from app.outgoing import encode_change
from app.settings import Settings
from app.topics import MESSAGES, partition_of

CHANGELOG: Final = next(name for name in MESSAGES.changelogs if "read_state" in name)
_AT_A_TIME: Final = 2000


async def seed_messages(
    settings: Settings, database: Database, topic: str, channels: Sequence[str], count: int
) -> None:
    """Insert messages and publish their records, as a gateway would."""
    producer = create_producer(settings)
    await producer.start()
    messages = Messages(database)

    async def seed(number: int) -> None:
        channel = channels[number % len(channels)]
        draft = Draft(channel, f"poster-{number % 64}", "Ann", f"{number}".ljust(120, "x"))
        document, _ = await messages.insert(draft)
        value = encode_change("message_created", document)
        sent.append(await producer.send(topic, value, key=channel.encode()))

    sent: list[asyncio.Future[Any]] = []
    try:
        for start in range(0, count, _AT_A_TIME):
            numbers = range(start, min(count, start + _AT_A_TIME))
            await asyncio.gather(*(seed(number) for number in numbers))
            await asyncio.gather(*sent)
            sent.clear()
    finally:
        await producer.stop()


async def seed_members(
    settings: Settings,
    database: Database,
    channels: Mapping[str, int],
    *,
    partitions: int,
    crowd: str,
) -> None:
    """Give channels so many members in the changelog of the table of read states.

    Those of the channel `crowd` are members in MongoDB, too: it will be posted to.

    The worker that reads the changelog must not run meanwhile.
    """
    producer = create_producer(settings)
    await producer.start()
    members = Members(database)
    now = datetime.now(UTC)
    try:
        for channel, count in channels.items():
            partition = partition_of(channel.encode(), partitions)
            for users in _chunks(count):
                await _send_read_states(producer, CHANGELOG, partition, channel, users)
                if channel == crowd:
                    await members.note({(channel, user): now for user in users})
    finally:
        await producer.stop()


def _chunks(count: int) -> Iterator[list[str]]:
    for start in range(0, count, _AT_A_TIME):
        yield [f"member-{n}" for n in range(start, min(count, start + _AT_A_TIME))]


async def seed_changelog(settings: Settings, changelog: str, partitions: int, count: int) -> None:
    """Fill a changelog with read states, partition after partition."""
    producer = create_producer(settings)
    await producer.start()
    try:
        for number, users in enumerate(_chunks(count)):
            await _send_read_states(producer, changelog, number % partitions, "room", users)
    finally:
        await producer.stop()


async def _send_read_states(
    producer: AIOKafkaProducer,
    changelog: str,
    partition: int,
    channel: str,
    users: Sequence[str],
) -> None:
    value = orjson.dumps(
        {"read": 0, "mentions": [], "position": ["00000000", partition, 0], "left": False}
    )
    sent = []
    for user in users:
        key = orjson.dumps([channel, user])
        sent.append(await producer.send(changelog, value, key=key, partition=partition))
    await asyncio.gather(*sent)
