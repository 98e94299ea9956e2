"""Which batches are planned without reading their messages."""

from collections.abc import Collection
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from agents.numbering import Numbering
from agents.plan import Plan
from agents.planning import Planning
from app.archive.applied import FEW
from app.archive.documents import Document
from app.archive.marks import Marks, Newest, Overtaken
from app.ids import new_id
from app.outgoing import encode_change
from app.records import MessageEvent, decode
from app.stream_log.log import Source
from app.streaming.lease import Lease
from app.streaming.work import Received, Work
from app.topics import MESSAGES

NOW = datetime(2026, 1, 1, 12, 30, 15, 7_000, tzinfo=UTC)
SOURCE = Source("messages", 0, "aaaaaaaa")


def sent(**fields: Any) -> Document:
    """A message as a gateway inserts it."""
    return {
        "_id": new_id(),
        "channelId": "c",
        "senderId": "u1",
        "senderName": 'A "nn" \\ é',
        "content": 'such,"number":null',
        "replyTo": None,
        "mentions": ["u2"],
        "metadata": '{"b":[1.5,null],"a":{"ü":"x"}}',
        "rev": 1,
        "reactions": [],
        "createdAt": NOW,
        "changedAt": NOW,
        **fields,
    }


class Numbers:
    """A numbering that knows some channels, and what MongoDB was asked for."""

    def __init__(self, documents: Collection[Document], known: Collection[str] = ("c",)) -> None:
        self._documents = {document["_id"]: document for document in documents}
        self._known = known
        self.steps: list[str] = []
        self.is_overtaken = False

    def peek(self, _: int, channel_ids: Collection[str]) -> dict[str, Newest] | None:
        is_known = set(channel_ids) <= set(self._known)
        return {each: Newest(4, "before") for each in channel_ids} if is_known else None

    async def newest(self, _: Source, __: int, channel_ids: Collection[str]) -> dict[str, Newest]:
        return {each: Newest(4, "before") for each in channel_ids}

    async def find(self, _: Source, __: int, ids: Collection[str]) -> dict[str, Document]:
        self.steps.append("find")
        return {each: dict(self._documents[each]) for each in ids}

    def forget(self, _: int) -> None:
        """Nothing is remembered."""

    async def election(self) -> None:
        self.steps.append("election")

    async def confirm(self, *_: Any) -> None:
        self.steps.append("confirm")

    async def write(self, _: Plan) -> None:
        self.steps.append("write")

    async def write_unread(self, _: Source, __: Plan) -> None:
        self.steps.append("write unread")
        if self.is_overtaken:
            raise Overtaken


def received(offset: int, value: bytes) -> tuple[Received, MessageEvent]:
    event = decode(MESSAGES, b"c", value, 0, 1)
    assert isinstance(event, MessageEvent)
    return Received(cast("Any", SimpleNamespace(offset=offset, value=value)), event), event


async def apply(numbers: Numbers, *values: bytes) -> Plan:
    """Plan a batch of these records and have it marked."""
    planning = Planning(cast("Marks", numbers), cast("Numbering", numbers), "messages.1")
    records = [received(offset, value) for offset, value in enumerate(values)]
    work = Work(SOURCE, [item for item, _ in records], Lease(1e9))
    plan, _ = await planning.apply(work, records)
    return plan


def created(document: Document) -> bytes:
    return encode_change("message_created", document)


async def test_new_messages_of_a_known_channel_are_numbered_unread_and_shown_exactly() -> None:
    documents = [sent(), sent(mentions=[], replyTo=new_id())]
    numbers = Numbers(documents)
    plan = await apply(numbers, *map(created, documents))
    assert numbers.steps == ["write unread"]
    assert [change.number for change in plan.changes] == [5, 6]
    for change, document in zip(plan.changes, documents, strict=True):
        shown = {key: value for key, value in document.items() if key != "changedAt"}
        assert change.document == {**shown, "number": change.number}


async def test_messages_that_are_not_as_they_were_sent_are_read() -> None:
    document = sent()
    numbers = Numbers([document])
    numbers.is_overtaken = True
    plan = await apply(numbers, created(document))
    assert numbers.steps == ["write unread", "find", "write"]
    assert [change.number for change in plan.changes] == [5]


@pytest.mark.parametrize(
    "fields",
    [
        {"rev": 2, "editedAt": NOW},
        {"rev": 2, "deletedAt": NOW},
        {"metadata": '{"precise":1.00000000000000000001}'},
        {"metadata": '{"large":123456789012345678901234567890}'},
    ],
)
async def test_message_that_its_record_does_not_tell_exactly_is_read(
    fields: dict[str, Any],
) -> None:
    document = sent(**fields)
    numbers = Numbers([document])
    await apply(numbers, created(document))
    assert numbers.steps == ["find", "write"]


async def test_record_without_a_message_s_fields_is_read() -> None:
    document = sent()
    value = orjson.loads(created(document))
    del value["message"]["senderName"]
    numbers = Numbers([document])
    await apply(numbers, orjson.dumps(value))
    assert numbers.steps == ["find", "write"]


async def test_message_of_a_channel_whose_newest_number_is_not_known_is_read() -> None:
    document = sent()
    numbers = Numbers([document], known=["d"])
    await apply(numbers, created(document))
    assert numbers.steps == ["find", "write"]


async def test_many_messages_are_read() -> None:
    documents = [sent() for _ in range(FEW + 1)]
    numbers = Numbers(documents)
    await apply(numbers, *map(created, documents))
    assert numbers.steps == ["find", "write"]


async def test_message_that_comes_twice_in_a_batch_is_read() -> None:
    document = sent()
    numbers = Numbers([document])
    plan = await apply(numbers, created(document), created(document))
    assert numbers.steps == ["find", "election", "find", "confirm", "write"]
    assert ([c.number for c in plan.changes], plan.published_twice) == ([5], 1)
