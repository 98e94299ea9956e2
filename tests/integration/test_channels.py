"""Channels and their members, through a gateway on real servers; no agent runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from app.archive.applied import Applied
from app.archive.channels import DIRECT, Channels, NewChannel
from app.archive.indexes import ensure_indexes
from app.archive.marks import Marks
from app.archive.members import MEMBER, Members
from app.clients import Database
from app.errors import RequestError
from app.ids import new_id
from app.settings import Settings
from tests.support.rest import (
    ALICE,
    BOB,
    Client,
    gateway_of,
    problem,
    published,
    running_gateway,
    sent,
)
from web.actions.channels import add_member
from web.answers import Channel, MemberPage
from web.deps import Gateway
from web.identity import User


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with running_gateway(settings) as client:
        yield client


@pytest.fixture
def channel() -> str:
    return f"c.{new_id()}"


async def create(
    client: Client, user: dict[str, str] = ALICE, **body: Any
) -> tuple[int, dict[str, Any]]:
    response = await client.post("/api/channels", json=body, headers=user)
    Channel.model_validate_json(await response.read())
    return response.status, orjson.loads(await response.read())


async def members(client: Client, channel: str, **query: Any) -> tuple[dict[str, str], Any]:
    response = await client.get(f"/api/channels/{channel}/members", params=query)
    MemberPage.model_validate_json(await response.read())
    body = orjson.loads(await response.read())
    return {member["userId"]: member["role"] for member in body["items"]}, body["next"]


async def test_channel_is_made_with_its_members_and_read(client: Client, channel: str) -> None:
    status, made = await create(
        client, id=channel, name="News", kind="private", serverId="s1", members=["bob", "carol"]
    )
    assert status == 201
    assert made.pop("createdAt")
    assert made == {
        "id": channel, "kind": "private", "name": "News", "serverId": "s1", "ownerId": "alice",
    }  # fmt: skip
    response = await client.get(f"/api/channels/{channel}")
    assert (response.status, (await response.json())["name"]) == (200, "News")
    assert await members(client, channel) == (
        {"alice": "owner", "bob": "member", "carol": "member"}, None,
    )  # fmt: skip


async def test_channel_that_is_there_is_found_and_left_as_it_is(
    client: Client, channel: str
) -> None:
    await create(client, id=channel, name="News", kind="private")
    status, found = await create(
        client, BOB, id=channel, name="Mine", kind="private", members=["mallory"]
    )
    assert (status, found["name"], found["ownerId"]) == (200, "News", "alice")
    assert await members(client, channel) == ({"alice": "owner"}, None)


async def test_id_of_another_kind_of_channel_is_a_conflict(client: Client, channel: str) -> None:
    await create(client, id=channel, name="News", kind="private")
    for body in ({"kind": "open", "name": "News"}, {"kind": "direct", "members": ["bob"]}):
        response = await client.post("/api/channels", json={"id": channel, **body}, headers=ALICE)
        assert await problem(response) == (409, "conflict", [])


async def test_direct_channel_is_found_by_its_pair_from_both_sides(client: Client) -> None:
    bob = {"X-User-Id": f"bob-{new_id()}", "X-User-Name": "Bob"}
    answers = await asyncio.gather(
        *(create(client, kind="direct", members=[bob["X-User-Id"]]) for _ in range(5)),
        *(create(client, bob, kind="direct", members=["alice"]) for _ in range(5)),
    )
    assert sorted(status for status, _ in answers) == [200] * 9 + [201]
    assert len({channel["id"] for _, channel in answers}) == 1
    channel = answers[0][1]
    assert (channel["kind"], channel["name"], channel["ownerId"]) == ("direct", None, None)
    both = {"alice": "member", bob["X-User-Id"]: "member"}
    assert await members(client, channel["id"]) == (both, None)
    third = await client.put(f"/api/channels/{channel['id']}/members/carol", headers=ALICE)
    assert await problem(third) == (409, "conflict", [])


async def test_direct_channel_takes_who_is_of_its_pair_and_nobody_else(database: Database) -> None:
    """Whoever is among its members, however they came there."""
    await ensure_indexes(database)
    channels, members, publisher = Channels(database), Members(database), Publisher()
    gateway = cast(
        Gateway, SimpleNamespace(channels=channels, members=members, publisher=publisher)
    )
    wanted = NewChannel("d", DIRECT, None, None, None, ("alice", "bob"))
    await channels.create(wanted)
    await members.add("d", {"alice": MEMBER, "carol": MEMBER})  # Bob has left.
    await add_member(gateway, User("alice"), "d", "bob", traceparent="")
    for third in ("carol", "dave"):
        with pytest.raises(RequestError, match="two members"):
            await add_member(gateway, User("alice"), "d", third, traceparent="")
    assert [each["userId"] for each in await members.page("d", 10)] == ["alice", "bob", "carol"]


class Publisher:
    """Takes whatever is published."""

    async def publish_unstored(self, _: Any, records: Sequence[Any], __: str) -> list[bool]:
        return [True] * len(records)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"kind": "open"}, "name"),
        ({"kind": "direct", "name": "x", "members": ["bob"]}, "name"),
        ({"kind": "direct"}, "members"),
        ({"kind": "direct", "members": ["alice"]}, "members"),
        ({"kind": "direct", "members": ["bob", "carol"]}, "members"),
        ({"kind": "party", "name": "x"}, "kind"),
        ({"kind": "open", "name": "x", "id": "no/id"}, "id"),
        ({"kind": "open", "name": "x", "members": ["no id"]}, "members.0"),
    ],
)
async def test_channel_that_cannot_be_is_invalid(
    client: Client, body: dict[str, Any], path: str
) -> None:
    response = await client.post("/api/channels", json=body, headers=ALICE)
    assert await problem(response) == (422, "invalid", [path])


async def test_channel_that_is_posted_to_is_made_open(client: Client, channel: str) -> None:
    missing = await client.get(f"/api/channels/{channel}")
    assert (await problem(missing))[:2] == (404, "not_found")
    await sent(client, channel)
    found = await (await client.get(f"/api/channels/{channel}")).json()
    assert (found["kind"], found["name"], found["ownerId"]) == ("open", None, None)


async def test_private_channel_stays_private_when_it_is_posted_to(
    client: Client, channel: str, settings: Settings
) -> None:
    async with running_gateway(settings) as other:
        await create(other, id=channel, name="News", kind="private")
    await sent(client, channel)
    found = await (await client.get(f"/api/channels/{channel}")).json()
    assert found["kind"] == "private"


async def test_memberships_are_published_before_they_are_answered(
    client: Client, channel: str, settings: Settings
) -> None:
    await create(client, id=channel, name="News", kind="open", members=["bob"])
    path = f"/api/channels/{channel}/members"
    assert (await client.put(f"{path}/carol", headers=BOB)).status == 204
    assert (await client.put(f"{path}/carol", headers=BOB)).status == 204
    assert (await client.delete(f"{path}/bob", headers=ALICE)).status == 204
    assert (await client.delete(f"{path}/nobody", headers=ALICE)).status == 204
    records = [(r["type"], r["userId"], r["by"]) for r in await published(settings, channel)]
    assert sorted(records[:2]) == [
        ("member_joined", "alice", "alice"), ("member_joined", "bob", "alice"),
    ]  # fmt: skip
    assert records[2:] == [
        ("member_joined", "carol", "bob"), ("member_joined", "carol", "bob"),
        ("member_left", "bob", "alice"), ("member_left", "nobody", "alice"),
    ]  # fmt: skip
    assert await members(client, channel) == ({"alice": "owner", "carol": "member"}, None)


async def test_members_are_paged_by_user_id(client: Client, channel: str) -> None:
    await create(client, id=channel, name="News", kind="open", members=["e", "c", "b", "d"])
    assert await members(client, channel, limit=2) == ({"alice": "owner", "b": "member"}, "b")
    assert await members(client, channel, limit=2, after="b") == (
        {"c": "member", "d": "member"}, "d",
    )  # fmt: skip
    assert await members(client, channel, limit=2, after="d") == ({"e": "member"}, None)


async def test_read_without_a_user_or_with_a_bad_number_is_refused(
    client: Client, channel: str
) -> None:
    path = f"/api/channels/{channel}/read"
    assert (await problem(await client.post(path)))[:2] == (401, "not_authenticated")
    for body in ({"number": -1}, {"number": "1"}, {"number": 10**15}, {"nummer": 1}):
        response = await client.post(path, json=body, headers=ALICE)
        assert (await problem(response))[:2] == (422, "invalid")


async def test_first_join_is_noted_until_kafka_has_it(database: Database, channel: str) -> None:
    await ensure_indexes(database)
    archive = Members(database)
    closed = f"{channel}-closed"
    joined = [(channel, "bob"), (closed, "bob"), ("strange", "bob"), (channel, "carol")]
    await archive.add(closed, {"bob": "member"})
    for _ in range(2):
        fresh = await archive.enter(joined, {channel})
        assert sorted(fresh) == [(channel, "bob"), (channel, "carol"), (closed, "bob")]
    await archive.confirm([(channel, "bob"), (closed, "bob")])
    assert await archive.enter(joined, {channel}) == [(channel, "carol")]
    await archive.confirm([(channel, "carol")])
    assert await archive.enter(joined, {channel}) == []


async def test_group_of_joins_makes_each_a_member_and_publishes_it_once(
    client: Client, channel: str, settings: Settings
) -> None:
    entries, closed = gateway_of(client).entries, f"{channel}-closed"
    await create(client, id=closed, name="News", kind="private")
    for _ in range(2):
        for number in range(20):
            entries.add(f"u{number}", [channel, f"{channel}-{number}", closed])
        await entered(client, channel, 20)
    assert await members(client, closed) == ({"alice": "owner"}, None)
    records = [(r["type"], r["userId"], r["by"]) for r in await published(settings, channel)]
    assert sorted(records) == sorted(("member_joined", f"u{n}", f"u{n}") for n in range(20))
    assert len(await published(settings, f"{channel}-7")) == 1


async def test_join_that_mongodb_refuses_fails_alone(
    client: Client, channel: str, database: Database
) -> None:
    await database.command(
        "collMod", "members", validator={"userId": {"$ne": "mallory"}}, validationLevel="strict"
    )
    entries = gateway_of(client).entries
    for user in ("u0", "mallory", "u1"):
        entries.add(user, [channel])
    await entered(client, channel, 2)
    assert await members(client, channel) == ({"u0": "member", "u1": "member"}, None)


async def entered(client: Client, channel: str, count: int) -> None:
    """Return when so many memberships of a channel are there, and none waits for Kafka."""
    async with asyncio.timeout(30):
        while True:
            archive = gateway_of(client).members
            there = [member["userId"] for member in await archive.page(channel, 100)]
            if len(there) == count and not await archive.unpublished(channel, there):
                return
            await asyncio.sleep(0.02)


async def test_unknown_channels_are_made_once_by_many_gateways(
    settings: Settings, database: Database, channel: str
) -> None:
    async with running_gateway(settings):
        ids = [f"{channel}-{n}" for n in range(20)]
        kinds = await asyncio.gather(*(Channels(database).ensure(ids) for _ in range(5)))
        assert kinds == [dict.fromkeys(ids, "open")] * 5
        assert await database["channels"].count_documents({"_id": {"$in": ids}}) == 20


async def test_number_before_a_record_leaves_out_what_later_records_numbered(
    database: Database, channel: str
) -> None:
    marks, ids = Marks(database), [new_id() for _ in range(3)]
    for message_id in ids:
        await database["messages"].insert_one({"_id": message_id, "channelId": channel, "rev": 1})
    # The second was edited by a record that is behind everything; that counts for nothing.
    applied = [(1, 10, 10), (2, 90, 20), (1, 30, 30)]
    await marks.apply(
        [
            Applied(message_id, "messages", rev, "a", 0, offset, number, numbered_offset)
            for number, (message_id, (rev, offset, numbered_offset)) in enumerate(
                zip(ids, applied, strict=True), start=1
            )
        ]
    )
    for offset, number in ((5, 0), (10, 0), (11, 1), (25, 2), (30, 2), (31, 3)):
        assert await marks.numbers_before([channel], "a", 0, offset) == {channel: number}
    assert await marks.numbers_before([channel], "b", 0, 5) == {channel: 3}
    assert await marks.numbers_before([channel], "a", 1, 5) == {channel: 3}
