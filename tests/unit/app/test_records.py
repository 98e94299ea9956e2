"""Decoding: typed records, and nothing that is not what its class says."""

from typing import Any

import orjson
import pytest

from app.ids import new_id
from app.records import (
    TYPES,
    ChannelRead,
    Event,
    MessageCreated,
    NotificationsRead,
    Undecodable,
    decode,
)
from app.topics import MESSAGES, NOTIFICATIONS, TOPICS, Topic, partition_of

PARTITIONS = 4
EVENT = {"eventId": "e", "occurredAt": "2026-01-01T00:00:00.000Z"}
READ = {**EVENT, "type": "channel_read", "channelId": "c", "userId": "u", "number": 3}
CREATED = {
    **EVENT,
    "type": "message_created",
    "channelId": "c",
    "rev": 1,
    "message": {"id": new_id(), "content": "secret"},
}
NOTIFIED = {**EVENT, "type": "notifications_read", "userId": "u", "ids": ["a", "b"]}


def read(topic: Topic, value: bytes, key: bytes) -> Event:
    return decode(topic, key, value, partition_of(key, PARTITIONS), PARTITIONS)


@pytest.mark.parametrize(
    ("topic", "data", "record_type", "key"),
    [
        (MESSAGES, READ, ChannelRead, b"c"),
        (MESSAGES, CREATED, MessageCreated, b"c"),
        (NOTIFICATIONS, NOTIFIED, NotificationsRead, b"u"),
        (NOTIFICATIONS, {**NOTIFIED, "ids": None}, NotificationsRead, b"u"),
        (NOTIFICATIONS, {k: v for k, v in NOTIFIED.items() if k != "ids"}, NotificationsRead, b"u"),
        (MESSAGES, {**READ, "added": {"later": 1}}, ChannelRead, b"c"),
    ],
)
def test_valid_record_is_what_faust_itself_would_make(
    topic: Topic, data: dict[str, Any], record_type: type[Event], key: bytes
) -> None:
    record = read(topic, orjson.dumps(data), key)
    made = record_type.from_data({**data})
    made.__dict__.pop("added", None)
    assert type(record) is record_type
    assert record == made
    assert record.__dict__ == made.__dict__
    assert record.dumps() == made.dumps()


@pytest.mark.parametrize("change", [
    {"number": "3"}, {"number": 3.5}, {"number": True}, {"number": None},
    {"channelId": 5}, {"channelId": None}, {"eventId": None}, {"userId": ["u"]},
])  # fmt: skip
def test_field_of_another_type_is_invalid(change: dict[str, Any]) -> None:
    with pytest.raises(Undecodable) as raised:
        read(MESSAGES, orjson.dumps({**READ, **change}), b"c")
    assert raised.value.reason == "invalid"
    assert next(iter(change)) in raised.value.error


@pytest.mark.parametrize("field", [name for name in READ if name != "type"])
def test_missing_field_is_invalid(field: str) -> None:
    data = {name: value for name, value in READ.items() if name != field}
    with pytest.raises(Undecodable, match=f"invalid: {field}"):
        read(MESSAGES, orjson.dumps(data), b"c")


@pytest.mark.parametrize("ids", ["a", [1], ["a", None], {}, 0])
def test_list_of_other_items_is_invalid(ids: Any) -> None:
    with pytest.raises(Undecodable, match="invalid: ids"):
        read(NOTIFICATIONS, orjson.dumps({**NOTIFIED, "ids": ids}), b"u")


@pytest.mark.parametrize(
    "message", ["secret", [1], None, {}, {"id": 1}, {"id": "secret"}, {"id": None}]
)
def test_message_without_an_id_is_invalid_and_its_content_unsaid(message: Any) -> None:
    with pytest.raises(Undecodable) as raised:
        read(MESSAGES, orjson.dumps({**CREATED, "message": message}), b"c")
    assert raised.value.reason == "invalid"
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (b"{no json", b"c", "bad_json"),
        (b"", b"c", "bad_json"),
        (b"[]", b"c", "invalid"),
        (b'{"type":"unheard_of"}', b"c", "unknown_type"),
        (b"{}", b"c", "unknown_type"),
        (orjson.dumps(READ), b"other", "wrong_key"),
    ],
)
def test_undecodable_record_says_why(value: bytes, key: bytes, reason: str) -> None:
    with pytest.raises(Undecodable) as raised:
        read(MESSAGES, value, key)
    assert raised.value.reason == reason


def test_record_in_another_partition_than_its_keys_is_refused() -> None:
    elsewhere = (partition_of(b"c", PARTITIONS) + 1) % PARTITIONS
    with pytest.raises(Undecodable, match="wrong_partition"):
        decode(MESSAGES, b"c", orjson.dumps(READ), elsewhere, PARTITIONS)


def test_every_type_of_every_topic_can_be_read() -> None:
    for topic in TOPICS:
        for name in TYPES[topic.name]:
            with pytest.raises(Undecodable, match="invalid"):
                read(topic, orjson.dumps({"type": name}), b"c")
