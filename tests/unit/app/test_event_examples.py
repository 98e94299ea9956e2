"""`docs/events/`: an example of every record, by which other programs know the topics."""

from pathlib import Path

import orjson
import pytest

from app.ids import is_given_id, is_message_id
from app.records import TYPES, ChannelEvent, MessageEvent, decode
from app.topics import TOPICS, Topic, partition_of

FOLDER = Path(__file__).parents[3] / "docs" / "events"
PARTITIONS = 12
ALL = [(topic, name) for topic in TOPICS for name in TYPES[topic.name]]


def test_every_type_of_record_has_an_example_and_nothing_else_has() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == {name for _, name in ALL}


@pytest.mark.parametrize(("topic", "name"), ALL, ids=[name for _, name in ALL])
def test_example_when_decoded_is_a_record_of_its_type(topic: Topic, name: str) -> None:
    value = (FOLDER / f"{name}.json").read_bytes()
    wire_name = "channelId" if topic.key_field == "channel_id" else "userId"
    key = orjson.loads(value)[wire_name].encode()
    event = decode(topic, key, value, partition_of(key, PARTITIONS), PARTITIONS)
    assert type(event) is TYPES[topic.name][name]
    # Nothing in the example that the record does not have.
    assert orjson.loads(event.dumps()) == orjson.loads(value)
    if isinstance(event, ChannelEvent):
        assert is_given_id(event.channel_id)
    if isinstance(event, MessageEvent):
        assert is_message_id(event.changed_id)
        assert event.event_id == f"{event.changed_id}:{event.rev}"
        assert event.message["rev"] == event.rev
