"""Reactions on a real MongoDB: one transaction for who reacted and what the message shows."""

import asyncio
from typing import Any

import pytest

from app.archive.indexes import ensure_indexes
from app.archive.messages import Draft, Messages
from app.archive.reactions import Reactions, Result
from app.archive.shown_reactions import KINDS, SHOWN_USERS, Wish
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


async def add(reactions: Reactions, message_id: str, emoji: str, user: str) -> Result | None:
    return await reactions.change(message_id, Wish(emoji, user, is_wanted=True))


async def remove(reactions: Reactions, message_id: str, emoji: str, user: str) -> Result | None:
    return await reactions.change(message_id, Wish(emoji, user, is_wanted=False))


async def users_of(reactions: Reactions, message_id: str, emoji: str) -> list[str]:
    return [each["userId"] for each in await reactions.users(message_id, emoji, 1000)]


async def test_reaction_added_again_changes_nothing(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    before = await find(database, message_id)
    first = await add(reactions, message_id, "👍", "ann")
    again = await add(reactions, message_id, "👍", "ann")
    assert first is not None
    assert again is not None
    assert (first.rev, again.rev) == (2, None)
    assert first.message == again.message == await find(database, message_id)
    assert first.message["rev"] == 2
    assert first.message["reactions"] == [{"emoji": "👍", "count": 1, "userIds": ["ann"]}]
    assert first.message["changedAt"] >= before["changedAt"]
    assert first.message["pendingSince"] >= before["pendingSince"]


async def test_reaction_taken_back_again_changes_nothing(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    await add(reactions, message_id, "👍", "ann")
    first = await remove(reactions, message_id, "👍", "ann")
    again = await remove(reactions, message_id, "👍", "ann")
    assert first is not None
    assert again is not None
    assert (first.rev, again.rev) == (3, None)
    assert again.message["rev"] == 3
    assert again.message["reactions"] == []
    assert await users_of(reactions, message_id, "👍") == []


async def test_reactions_of_many_gateways_at_once_are_all_counted(
    reactions: Reactions, database: Database
) -> None:
    """Three gateways, which meet in MongoDB; every user twice, who meet themselves."""
    gateways = [reactions, Reactions(database), Reactions(database)]
    message_id = await a_message(database)
    results = await asyncio.gather(
        *(
            add(gateways[n % 3], message_id, "🎉" if n % 2 else "👍", f"u{n // 2 // 2}")
            for n in range(80)
        )
    )
    changed = [found.rev for found in results if found is not None and found.rev is not None]
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
        await add(reactions, message_id, "👍", user)
    document = await find(database, message_id)
    (kind,) = document["reactions"]
    assert kind == {"emoji": "👍", "count": 23, "userIds": users[:20]}
    await remove(reactions, message_id, "👍", "u4")
    (kind,) = (await find(database, message_id))["reactions"]
    assert kind == {"emoji": "👍", "count": 22, "userIds": [*users[:4], *users[5:21]]}


async def test_twenty_first_kind_is_a_conflict_and_leaves_no_trace(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    for n in range(KINDS):
        await add(reactions, message_id, f"e{n}", "ann")
    with pytest.raises(RequestError) as refused:
        await add(reactions, message_id, "one more", "ann")
    assert refused.value.code == "conflict"
    assert await users_of(reactions, message_id, "one more") == []
    assert (await find(database, message_id))["rev"] == KINDS + 1
    assert await add(reactions, message_id, "e7", "bob") is not None
    await remove(reactions, message_id, "e3", "ann")
    assert await add(reactions, message_id, "one more", "ann") is not None


async def test_deleted_or_missing_message_takes_no_reaction(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    await Messages(database).delete(message_id)
    assert await add(reactions, message_id, "👍", "ann") is None
    assert await remove(reactions, message_id, "👍", "ann") is None
    assert await add(reactions, "nothing", "👍", "ann") is None
    assert await users_of(reactions, message_id, "👍") == []


async def test_users_are_paged_in_the_order_in_which_they_reacted(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    for user in ("zoe", "ann", "bob"):
        await add(reactions, message_id, "👍", user)
        await add(reactions, message_id, "🎉", user)
    first = await reactions.users(message_id, "👍", 2)
    rest = await reactions.users(message_id, "👍", 2, after=first[-1]["rev"])
    assert [each["userId"] for each in [*first, *rest]] == ["zoe", "ann", "bob"]


async def test_those_who_react_at_once_share_transactions_and_have_a_rev_each(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    users = [f"u{n}" for n in range(30)]
    results = await asyncio.gather(*(add(reactions, message_id, "👍", user) for user in users))
    revs = [found.rev for found in results if found is not None]
    assert revs == list(range(2, 32))
    # The first is alone; who came while it was written are one group.
    assert len({found.message["rev"] for found in results if found is not None}) <= 2
    # In one group: taken back and added again, with whom it moves up.
    both = [("remove", "u3"), ("remove", "u7"), ("add", "u3"), ("add", "u99")]
    await asyncio.gather(
        *(
            (add if what == "add" else remove)(reactions, message_id, "👍", user)
            for what, user in both
        )
    )
    (kind,) = (await find(database, message_id))["reactions"]
    everybody = await users_of(reactions, message_id, "👍")
    left = [user for user in users if user not in ("u3", "u7")]
    assert everybody == [*left, "u3", "u99"]
    assert kind == {"emoji": "👍", "count": 30, "userIds": everybody[:20]}


async def test_reaction_whose_caller_gave_up_while_it_waited_is_not_added(
    reactions: Reactions, database: Database
) -> None:
    message_id = await a_message(database)
    first = asyncio.create_task(add(reactions, message_id, "👍", "ann"))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(add(reactions, message_id, "👍", "bob"))
    await asyncio.sleep(0)
    waiting.cancel()
    await first
    await add(reactions, message_id, "🎉", "eve")
    assert await users_of(reactions, message_id, "👍") == ["ann"]
