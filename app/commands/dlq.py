"""`dlq`: look at dead letters, replay or drop them.

A letter stays in its topic until its retention is over; what was decided on it is in MongoDB.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Self, cast

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from app.archive.letters import DROPPED, REPLAYED, LetterKey, LetterStates
from app.archive.pending import PendingMessages
from app.archive.topics import NotedTopic, TopicRegistry
from app.clients import Database
from app.commands.output import print_json, print_line, print_table
from app.commands.servers import kafka_producer, kafka_reader, mongodb
from app.errors import CommandError
from app.ids import is_message_id
from app.reading import read_all
from app.settings import Settings
from app.topics import TOPICS, Topic


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a letter lies: `messages-dlq:3:17`."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` writes.

        Raises:
            CommandError: it names no place in a dead-letter topic.
        """
        topic, _, rest = text.partition(":")
        partition, _, offset = rest.partition(":")
        known = {each.dead_letters for each in TOPICS}
        if topic not in known or not (partition.isdecimal() and offset.isdecimal()):
            raise CommandError(f"{text!r} is no TOPIC:PARTITION:OFFSET as dlq list shows them")
        return cls(topic, int(partition), int(offset))

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, and what was decided on it."""

    record: ConsumerRecord
    state: str | None

    @property
    def at(self) -> Coordinates:
        """Where it lies."""
        return Coordinates(self.record.topic, self.record.partition, self.record.offset)

    @property
    def headers(self) -> dict[str, str]:
        """Its headers, as text."""
        return {name: value.decode(errors="replace") for name, value in self.record.headers}

    @property
    def key(self) -> str | None:
        """Its key, as text."""
        return None if self.record.key is None else self.record.key.decode(errors="replace")

    @property
    def message_id(self) -> str | None:
        """The id of the message that it is about, if it can be read and is about one."""
        return _message_id_in(self.record.value)

    def describe(self) -> dict[str, Any]:
        """Everything about it but its bytes."""
        return {
            "at": str(self.at),
            "state": self.state or "waiting",
            "key": self.key,
            "messageId": self.message_id,
            **self.headers,
        }


async def list_letters(
    settings: Settings, topic: str | None, *, everything: bool, as_json: bool
) -> int:
    """Print the dead letters that nobody has decided on; `everything`: the others too.

    Raises:
        CommandError: there is no such topic.
        Unavailable: MongoDB or Kafka does not answer.
    """
    wanted = _dead_letter_topics(topic)
    async with mongodb(settings) as database, kafka_reader(settings) as reader:
        letters = [letter async for letter in _read(reader, database, wanted)]
    shown = [letter for letter in letters if everything or letter.state is None]
    if as_json:
        print_json([letter.describe() for letter in shown])
        return 0
    columns = ("failed-at", "reason", "error", "attempts")
    print_table(
        ("at", "state", *columns, "key"),
        [
            (
                letter.at,
                letter.state or "waiting",
                *(letter.headers.get(name) for name in columns),
                letter.key,
            )
            for letter in shown
        ],
    )
    return 0


async def show_letter(settings: Settings, place: str, *, as_json: bool) -> int:
    """Print one dead letter with its headers and its value; raises as `list_letters` does."""
    at = Coordinates.parse(place)
    async with mongodb(settings) as database, kafka_reader(settings) as reader:
        letter = await _read_one(reader, database, at)
    value = letter.record.value or b""
    if as_json:
        print_json({**letter.describe(), "value": base64.b64encode(value).decode()})
        return 0
    for name, text in letter.describe().items():
        print_line(f"{name}: {'-' if text is None else text}")
    print_line(f"\n{value.decode(errors='backslashreplace')}")
    return 0


def _message_id_in(text: bytes | None) -> str | None:
    try:
        value = orjson.loads(text or b"")
    except orjson.JSONDecodeError:
        return None
    message = value.get("message") if isinstance(value, dict) else None
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str) and is_message_id(found) else None


async def replay_letters(settings: Settings, places: Sequence[str]) -> int:
    """Publish dead letters again to the topics they came from, byte for byte; safe to repeat.

    Raises:
        CommandError: there is no such letter, or its value was too long for it and the record that
            it is about is gone; those before it are replayed.
        Unavailable: MongoDB or Kafka does not answer.
    """
    wanted = [Coordinates.parse(place) for place in places]
    async with (
        mongodb(settings) as database,
        kafka_reader(settings) as reader,
        kafka_producer(settings) as producer,
    ):
        for at in wanted:
            letter = await _read_one(reader, database, at)
            record = letter.record
            value = await _read_value(reader, letter)
            message_id = _message_id_in(value)
            if message_id is not None:
                # Before it is published: its effect takes the mark away, and must find it so.
                await PendingMessages(database).revive(message_id)
            traceparents = [item for item in record.headers if item[0] == "traceparent"]
            # By its key, also where it came from another partition than its key's.
            sent = await producer.send_and_wait(
                _source_of(at.topic).name, value, key=record.key, headers=traceparents
            )
            await _note(database, at, REPLAYED)
            print_line(f"{at} is {sent.topic}:{sent.partition}:{sent.offset} now")
    return 0


async def drop_letters(settings: Settings, places: Sequence[str]) -> int:
    """Decide that dead letters are to have no effect; raises as `replay_letters` does."""
    wanted = [Coordinates.parse(place) for place in places]
    async with mongodb(settings) as database, kafka_reader(settings) as reader:
        for at in wanted:
            letter = await _read_one(reader, database, at)
            if letter.message_id is not None:
                await PendingMessages(database).abandon(letter.message_id)
            await _note(database, at, DROPPED)
            print_line(f"{at} is dropped")
    return 0


async def _read(
    reader: AIOKafkaConsumer, database: Database, topics: Sequence[str]
) -> AsyncIterator[Letter]:
    noted = await TopicRegistry(database).find_all()
    states = await LetterStates(database).find_all()
    for topic in topics:
        if topic in noted:
            places = [TopicPartition(topic, n) for n in range(noted[topic].partitions)]
            async for record in read_all(reader, places):
                at = Coordinates(topic, record.partition, record.offset)
                yield Letter(record, states.get(_key(at, noted[topic])))


async def _read_one(reader: AIOKafkaConsumer, database: Database, at: Coordinates) -> Letter:
    noted = (await TopicRegistry(database).find_all()).get(at.topic)
    if noted is not None and at.partition < noted.partitions:
        place = TopicPartition(at.topic, at.partition)
        async with aclosing(read_all(reader, [place], start=at.offset)) as records:
            record = await anext(records, None)
        if record is not None and record.offset == at.offset:
            return Letter(record, await LetterStates(database).find(_key(at, noted)))
    raise CommandError(f"there is no dead letter at {at}")


async def _read_value(reader: AIOKafkaConsumer, letter: Letter) -> bytes | None:
    """Return a letter's value; where that was too long for it, of the record that it is about."""
    headers = letter.headers
    if "value-omitted" not in headers:
        return cast(bytes | None, letter.record.value)
    topic = _source_of(letter.at.topic).name
    partition, offset = int(headers["source-partition"]), int(headers["source-offset"])
    place = TopicPartition(topic, partition)
    async with aclosing(read_all(reader, [place], start=offset)) as records:
        record = await anext(records, None)
    if record is None or not _is_about(letter, record, offset):
        raise CommandError(
            f"{letter.at} has no value, and {topic}:{partition}:{offset}, which had it, is gone; "
            "it can only be dropped"
        )
    return cast(bytes | None, record.value)


def _is_about(letter: Letter, record: ConsumerRecord, offset: int) -> bool:
    # A topic that was made anew has other records at the same offsets: later than the letter.
    is_older: bool = record.timestamp <= letter.record.timestamp
    return is_older and (record.offset, record.key) == (offset, letter.record.key)


async def _note(database: Database, at: Coordinates, state: str) -> None:
    noted = (await TopicRegistry(database).find_all())[at.topic]
    await LetterStates(database).note(_key(at, noted), state)


def _key(at: Coordinates, noted: NotedTopic) -> LetterKey:
    return LetterKey(at.topic, noted.incarnation, at.partition, at.offset)


def _dead_letter_topics(name: str | None) -> list[str]:
    found = [t.dead_letters for t in TOPICS if name in (None, t.name, t.dead_letters)]
    if not found:
        raise CommandError(f"{name!r} is no topic; there are {', '.join(t.name for t in TOPICS)}")
    return found


def _source_of(dead_letters: str) -> Topic:
    return next(topic for topic in TOPICS if topic.dead_letters == dead_letters)
