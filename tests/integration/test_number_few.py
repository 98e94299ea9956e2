"""Numbers for messages that nobody has read: given as far as they are as they were sent."""

from typing import Any

import pytest

from app.archive.applied import Applied
from app.archive.documents import Document
from app.archive.indexes import ensure_indexes
from app.archive.marks import Elected, Marks, NumberConflict, Overtaken
from app.archive.messages import Draft, Messages
from app.clients import Database


async def sent(database: Database, count: int) -> list[Document]:
    """Messages of one channel, as a gateway inserts them."""
    archive = Messages(database)
    return [(await archive.insert(Draft("c", "u1", "Ann", f"{n}")))[0] for n in range(count)]


def mark(document: Document, number: int) -> Applied:
    return Applied(
        document["_id"],
        "messages",
        1,
        "aaaaaaaa",
        0,
        number,
        number,
        number,
        channel_id="c",
    )


async def numbers(database: Database, documents: list[Document]) -> list[Any]:
    found = {d["_id"]: d.get("number") async for d in database["messages"].find()}
    return [found.get(document["_id"]) for document in documents]


async def test_messages_as_they_were_sent_are_numbered_and_pending_no_more(
    database: Database,
) -> None:
    documents = await sent(database, 3)
    marks = [mark(document, n) for n, document in enumerate(documents, 1)]
    await Marks(database).number_few(marks, [])
    assert await numbers(database, documents) == [1, 2, 3]
    found = await database["messages"].find_one({"_id": documents[2]["_id"]})
    assert found is not None
    assert "pendingSince" not in found
    assert found["numberedBy"] == ["aaaaaaaa", 0, 3]
    assert found["applied"] == {"messages": marks[2].position}
    with pytest.raises(Overtaken):
        await Marks(database).number_few(marks[:1], [])  # Delivered again.


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("change", ["edited", "deleted", "missing", "numbered", "elsewhere"])
async def test_message_that_is_not_as_it_was_sent_and_what_follows_it_get_none(
    database: Database, place: int, change: str
) -> None:
    documents = await sent(database, 3)
    message_id = documents[place]["_id"]
    if change == "edited":
        await Messages(database).edit(message_id, {"content": "other"})
    elif change == "deleted":
        await Messages(database).delete(message_id)
    elif change == "missing":
        await database["messages"].delete_one({"_id": message_id})
    else:
        field = {"numbered": {"number": 17}, "elsewhere": {"channelId": "d"}}[change]
        await database["messages"].update_one({"_id": message_id}, {"$set": field})
    marks = [mark(document, n) for n, document in enumerate(documents, 1)]
    with pytest.raises(Overtaken):
        await Marks(database).number_few(marks, [])
    expected: list[Any] = [1, 2, 3][:place] + [None] * (3 - place)
    if change == "numbered":
        expected[place] = 17
    assert await numbers(database, documents) == expected
    assert await database["messages"].count_documents({}) == 3 - (change == "missing")


async def test_number_behind_one_that_is_lost_is_not_given(database: Database) -> None:
    before, document = await sent(database, 2)
    with pytest.raises(Elected):
        await Marks(database).number_few([mark(document, 2)], [before["_id"]])
    assert await numbers(database, [before, document]) == [None, None]


async def test_number_that_another_message_has_is_a_conflict(database: Database) -> None:
    await ensure_indexes(database)
    one, two, three = await sent(database, 3)
    await Marks(database).number_few([mark(one, 1)], [])
    with pytest.raises(NumberConflict):
        await Marks(database).number_few([mark(two, 1), mark(three, 2)], [])
    assert await numbers(database, [one, two, three]) == [1, None, None]
