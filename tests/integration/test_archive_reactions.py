"""Reactions on a real MongoDB: one transaction for who reacted and what the message shows."""

import asyncio
from typing import Any

import pytest

from app.archive.indexes import ensure_indexes
from app.archive.messages import Draft, Messages
from app.archive.reactions import KINDS, SHOWN_USERS, Reactions
from app.clients import Database
from app.errors import RequestError


@pytest.fixture
async def reactions(database: Database) -> Reactions:
    await ensure_indexes(database)
    return Reactions(database)


async def a_message(database: Database) -> str:
    draft = Draft(channel_id="c", sender_id="u", sender_name="U", content="x")
    document, _ = await Messages(database).insert(draft)
    return str(document["_id"])


async def find(database: Database, message_id: str) -> dict[str, Any]:
    document = await database["messages"].find_one({"_id": message_id})
    assert document is not None
    return document


async def users_of(reactions: Reactions, message_id: str, emoji: str) -> list[str]:
    return [each["userId"] for each in await reactions.users(message_id, emoji, 1000)]


async def test_reaction_added_again_changes_nothing(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    before = await find(database, message_id)
    first = await reactions.add(message_id, "👍", "ann")
    again = await reactions.add(message_id, "👍", "ann")
    assert first is not None
    assert again is not None
    assert (first[1], again[1]) == (True, False)
    assert first[0] == again[0] == await find(database, message_id)
    assert first[0]["rev"] == 2
    assert first[0]["reactions"] == [{"emoji": "👍", "count": 1, "userIds": ["ann"]}]
    assert first[0]["changedAt"] >= before["changedAt"]
    assert first[0]["pendingSince"] >= before["pendingSince"]


async def test_reaction_taken_back_again_changes_nothing(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    await reactions.add(message_id, "👍", "ann")
    first = await reactions.remove(message_id, "👍", "ann")
    again = await reactions.remove(message_id, "👍", "ann")
    assert first is not None
    assert again is not None
    assert (first[1], again[1]) == (True, False)
    assert again[0]["rev"] == 3
    assert again[0]["reactions"] == []
    assert await users_of(reactions, message_id, "👍") == []


async def test_reactions_of_many_gateways_at_once_are_all_counted(
    reactions: Reactions, database: Database
) -> None:
    """Three gateways, which meet in MongoDB; every user twice, who meet themselves."""
    gateways = [reactions, Reactions(database), Reactions(database)]
    message_id = await a_message(database)
    results = await asyncio.gather(
        *(
            gateways[n % 3].add(message_id, "🎉" if n % 2 else "👍", f"u{n // 2 // 2}")
            for n in range(80)
        )
    )
    changed = [found[0]["rev"] for found in results if found is not None and found[1]]
    assert sorted(changed) == list(range(2, 42))
    document = await find(database, message_id)
    assert document["rev"] == 41
    assert {kind["emoji"]: kind["count"] for kind in document["reactions"]} == {"🎉": 20, "👍": 20}
    for kind in document["reactions"]:
        assert kind["userIds"] == await users_of(reactions, message_id, kind["emoji"])


async def test_message_names_the_first_twenty_users_also_after_one_of_them_has_gone(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    users = [f"u{n}" for n in range(SHOWN_USERS + 3)]
    for user in users:
        await reactions.add(message_id, "👍", user)
    document = await find(database, message_id)
    (kind,) = document["reactions"]
    assert kind == {"emoji": "👍", "count": 23, "userIds": users[:20]}
    await reactions.remove(message_id, "👍", "u4")
    (kind,) = (await find(database, message_id))["reactions"]
    assert kind == {"emoji": "👍", "count": 22, "userIds": [*users[:4], *users[5:21]]}


async def test_twenty_first_kind_is_a_conflict_and_leaves_no_trace(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    for n in range(KINDS):
        await reactions.add(message_id, f"e{n}", "ann")
    with pytest.raises(RequestError) as refused:
        await reactions.add(message_id, "one more", "ann")
    assert refused.value.code == "conflict"
    assert await users_of(reactions, message_id, "one more") == []
    assert (await find(database, message_id))["rev"] == KINDS + 1
    assert await reactions.add(message_id, "e7", "bob") is not None
    await reactions.remove(message_id, "e3", "ann")
    assert await reactions.add(message_id, "one more", "ann") is not None


async def test_deleted_or_missing_message_takes_no_reaction(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    await Messages(database).delete(message_id)
    assert await reactions.add(message_id, "👍", "ann") is None
    assert await reactions.remove(message_id, "👍", "ann") is None
    assert await reactions.add("nothing", "👍", "ann") is None
    assert await users_of(reactions, message_id, "👍") == []


async def test_users_are_paged_in_the_order_in_which_they_reacted(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    for user in ("zoe", "ann", "bob"):
        await reactions.add(message_id, "👍", user)
        await reactions.add(message_id, "🎉", user)
    first = await reactions.users(message_id, "👍", 2)
    rest = await reactions.users(message_id, "👍", 2, after=first[-1]["rev"])
    assert [each["userId"] for each in [*first, *rest]] == ["zoe", "ann", "bob"]
