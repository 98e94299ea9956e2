"""Which notifications the messages of a batch make."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from agents.mentions import mentions_in, publish_mentions
from agents.plan import Change
from app.ids import new_id
from app.records import Notification, decode
from app.topics import NOTIFICATIONS, partition_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def change(*named: str, number: int | None = 1, **fields: Any) -> Change:
    document = {
        "_id": new_id(), "channelId": "c", "senderId": "ann", "senderName": "Ann",
        "createdAt": NOW, "mentions": list(named), **fields,
    }  # fmt: skip
    return Change(5, document, "message", "push", number)


class Producer:
    """Keeps what it is given, and acknowledges it at once."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes]] = []

    async def send(self, topic: str, key: bytes, value: bytes, *_: Any) -> Any:
        async def acknowledge() -> None:
            self.sent.append((topic, key, value))

        return acknowledge()


def test_message_mentions_each_user_once_and_never_its_sender() -> None:
    mentions = mentions_in([change("bob", "ann", "cat", "bob")])
    assert [mention.user_id for mention in mentions] == ["bob", "cat"]


def test_edit_and_deleted_message_make_no_mentions() -> None:
    assert mentions_in([change("bob", number=None), change("bob", deletedAt=NOW)]) == []


async def test_mention_delivered_again_is_the_same_notification() -> None:
    producer, named = Producer(), change("bob")
    for _ in range(2):
        await publish_mentions(producer, mentions_in([named]))  # type: ignore[arg-type]  # a part
    first, second = producer.sent
    assert first == second
    topic, key, value = first
    record = decode(NOTIFICATIONS, key, value, partition_of(b"bob", 4), 4)
    assert topic == NOTIFICATIONS.name
    assert isinstance(record, Notification)
    assert record.id == str(uuid5(UUID(named.document["_id"]), "bob"))
    assert orjson.loads(value)["data"] == {
        "channelId": "c",
        "messageId": named.document["_id"],
        "senderId": "ann",
        "senderName": "Ann",
    }
