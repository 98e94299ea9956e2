"""The REST calls of a gateway, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from app import publisher
from app.archive.documents import Document
from app.archive.messages import Messages
from app.clients import Database
from app.ids import is_message_id, new_id
from app.keys import channel_stream
from app.records import MessageCreated, decode
from app.settings import Settings
from app.topics import MESSAGES, partition_of
from tests.support.rest import (
    ALICE,
    BOB,
    Client,
    forget,
    gateway_of,
    number_all,
    page,
    problem,
    published,
    running_gateway,
    send,
    sent,
)
from web import message_cache
from web.actions import messages as actions
from web.answers import Tombstone

GOOD = {"content": "Hello", "channelId": "c", "senderId": "alice", "senderName": "Alice"}


@pytest.fixture
async def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    # What was answered with 201 is in Kafka then, however slow it is.
    monkeypatch.setattr(publisher, "WAIT_SECONDS", 30)
    async with running_gateway(settings) as client:
        yield client


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated messages are not published again, however long the first takes."""
    monkeypatch.setattr(actions, "OVERDUE_AFTER", timedelta(hours=1))


@pytest.fixture
def channel() -> str:
    """A channel of the test's own: Kafka is shared by the session."""
    return f"c.{new_id()}"


async def test_post_answers_with_the_message_and_writes_and_publishes_it(
    client: Client, channel: str, settings: Settings, database: Database
) -> None:
    other = (await sent(client, channel))["id"]
    message = await sent(
        client, channel, "Grüße 😀", replyTo=other, mentions=["bob"], metadata={"z": 1, "a": [2]}
    )
    assert list(message) == [
        "id", "rev", "channelId", "number", "senderId", "senderName", "content", "replyTo",
        "mentions", "reactions", "metadata", "createdAt", "editedAt",
    ]  # fmt: skip
    assert is_message_id(message["id"])
    assert message["number"] is None
    assert message["content"] == "Grüße 😀"
    assert (message["replyTo"], message["mentions"]) == (other, ["bob"])
    assert list(message["metadata"].items()) == [("z", 1), ("a", [2])]
    document = await database["messages"].find_one({"_id": message["id"]})
    assert document is not None
    assert document["pendingSince"] is not None
    _, record = await published(settings, channel)
    assert (record["type"], record["message"]) == ("message_created", message)
    key = channel.encode()
    count = settings.topic_partitions
    event = decode(MESSAGES, key, orjson.dumps(record), partition_of(key, count), count)
    assert isinstance(event, MessageCreated)


async def test_posts_of_one_sender_are_published_in_the_order_of_their_answers(
    client: Client, channel: str, settings: Settings
) -> None:
    async def post_many(sender: str) -> None:
        for n in range(20):
            await sent(client, channel, str(n), senderId=sender, senderName=sender)

    await asyncio.gather(*(post_many(f"u{n}") for n in range(5)))
    records = await published(settings, channel)
    for sender in range(5):
        contents = [
            r["message"]["content"] for r in records if r["message"]["senderId"] == f"u{sender}"
        ]
        assert contents == [str(n) for n in range(20)]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("by_header", [True, False])
async def test_post_with_one_key_a_hundred_times_is_one_message(
    client: Client, channel: str, settings: Settings, database: Database, by_header: bool
) -> None:
    key = new_id()
    if by_header:
        posts = [
            client.post(
                "/api/messages",
                json={**GOOD, "channelId": channel},
                headers={"Idempotency-Key": key},
            )
            for _ in range(100)
        ]
    else:
        posts = [send(client, channel, nonce=key) for _ in range(100)]  # type: ignore[misc]  # both are awaited
    responses = await asyncio.gather(*posts)
    assert sorted(r.status for r in responses) == [200] * 99 + [201]
    assert len({await r.read() for r in responses}) == 1
    assert await database["messages"].count_documents({"channelId": channel}) == 1
    assert len(await published(settings, channel)) == 1


async def test_post_of_another_body_under_a_used_key_is_a_conflict(
    client: Client, channel: str, database: Database
) -> None:
    await sent(client, channel, "one", nonce="k")
    response = await send(client, channel, "two", nonce="k")
    assert await problem(response) == (422, "idempotency_conflict", [])
    assert (await send(client, channel, "one", nonce="k")).status == 200
    other = await send(client, channel, "two", nonce="k", senderId="bob", senderName="Bob")
    assert other.status == 201
    assert await database["messages"].count_documents({"channelId": channel}) == 2


@pytest.mark.parametrize(
    ("change", "status", "code", "paths"),
    [
        ({"content": None}, 422, "invalid", ["content"]),
        ({"content": ""}, 422, "invalid", ["content"]),
        ({"content": " \n"}, 422, "invalid", ["content"]),
        ({"content": "x" * 4001}, 422, "invalid", ["content"]),
        ({"content": "\x00"}, 422, "invalid", ["content"]),
        ({"channelId": "a b"}, 422, "invalid", ["channelId"]),
        ({"channelId": 5}, 422, "invalid", ["channelId"]),
        ({"senderId": "../etc"}, 422, "invalid", ["senderId"]),
        ({"senderId": None}, 401, "not_authenticated", []),
        ({"senderName": None}, 422, "invalid", ["senderName"]),
        ({"replyTo": "x"}, 422, "invalid", ["replyTo"]),
        ({"mentions": ["a b", 1]}, 422, "invalid", ["mentions.0", "mentions.1"]),
        ({"metadata": "x"}, 422, "invalid", ["metadata"]),
        ({"metadata": {"n": 2**70}}, 422, "invalid", ["metadata"]),
        ({"metadata": {"n": "x" * 4096}}, 422, "invalid", ["metadata"]),
        ({"surprise": 1, "number": 7}, 422, "invalid", ["surprise", "number"]),
    ],
)
async def test_post_of_a_wrong_field_is_refused_and_writes_nothing(
    client: Client, database: Database, change: dict[str, Any], status: int, code: str,
    paths: list[str],
) -> None:  # fmt: skip
    data = orjson.dumps({**GOOD, **change}) if change != {"metadata": {"n": 2**70}} else None
    if data is None:
        data = orjson.dumps(GOOD)[:-1] + b',"metadata":{"n":%d}}' % 2**70
    response = await client.post(
        "/api/messages", data=data, headers={"Content-Type": "application/json"}
    )
    assert await problem(response) == (status, code, paths)
    assert await database["messages"].count_documents({}) == 0


@pytest.mark.parametrize("field", ["content", "channelId", "senderId", "senderName"])
async def test_post_without_a_field_is_refused_and_writes_nothing(
    client: Client, database: Database, field: str
) -> None:
    body = {name: value for name, value in GOOD.items() if name != field}
    status, code, paths = await problem(await client.post("/api/messages", json=body))
    if field == "senderId":
        assert (status, code) == (401, "not_authenticated")
    else:
        assert (status, code, paths) == (422, "invalid", [field])
    assert await database["messages"].count_documents({}) == 0


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        (b"{", "application/json", (400, "bad_json", [])),
        (b"", "application/json", (400, "bad_json", [])),
        (b'{"content":"\\ud800"}', "application/json", (400, "bad_json", [])),
        (b'{"content":"\xff"}', "application/json", (400, "bad_json", [])),
        (b"[]", "application/json", (422, "invalid", [""])),
        (b"{}", "text/plain", (415, "unsupported_media_type", [])),
        (b"a=b", "application/x-www-form-urlencoded", (415, "unsupported_media_type", [])),
        (b" " * 65_537, "application/json", (413, "too_large", [])),
    ],
)
async def test_post_of_a_wrong_body_is_refused_and_writes_nothing(
    client: Client, database: Database, data: bytes, content_type: str,
    expected: tuple[int, str, list[str]],
) -> None:  # fmt: skip
    response = await client.post("/api/messages", data=data, headers={"Content-Type": content_type})
    assert await problem(response) == expected
    assert await database["messages"].count_documents({}) == 0


async def test_post_of_broken_gzip_is_bad_json(client: Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await client.post("/api/messages", data=b"no gzip", headers=headers)
    assert await problem(response) == (400, "bad_json", [])


async def test_post_of_a_reply_into_another_channel_is_refused_and_writes_nothing(
    client: Client, channel: str, database: Database
) -> None:
    elsewhere = (await sent(client, "elsewhere"))["id"]
    for parent in (elsewhere, new_id()):
        response = await send(client, channel, replyTo=parent)
        assert await problem(response) == (422, "invalid", ["replyTo"])
    assert await database["messages"].count_documents({"channelId": channel}) == 0


async def test_post_with_a_nonce_that_is_not_its_key_is_refused(client: Client) -> None:
    for nonce, status in (("k", 201), ("other", 422)):
        response = await client.post(
            "/api/messages", json={**GOOD, "nonce": nonce}, headers={"Idempotency-Key": "k"}
        )
        assert response.status == status
    assert await problem(response) == (422, "invalid", ["nonce"])


async def test_nothing_of_what_was_refused_is_published(
    client: Client, settings: Settings, channel: str
) -> None:
    assert (await send(client, channel, "")).status == 422
    assert (await send(client, channel, surprise=1)).status == 422
    assert (await send(client, channel, senderId="mallory" * 20)).status == 422
    refused = await client.post("/api/messages", json={**GOOD, "channelId": channel}, headers=BOB)
    assert await problem(refused) == (403, "forbidden", [])
    assert await published(settings, channel) == []


async def test_unknown_address_and_method_are_problems(client: Client) -> None:
    assert await problem(await client.get("/api/nothing")) == (404, "not_found", [])
    response = await client.put("/api/messages", json={})
    assert await problem(response) == (405, "method_not_allowed", [])
    assert response.headers["Allow"] == "GET,HEAD,POST"
    assert await problem(await client.get("/%ff%00/x")) == (404, "not_found", [])
    no_upgrade = await client.get("/ws", headers=ALICE)
    assert await problem(no_upgrade) == (422, "invalid", [])


async def test_unforeseen_error_is_answered_without_its_detail(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr("app.archive.messages.Messages.get", fail)
    response = await client.get(f"/api/messages/{new_id()}")
    assert "secret" not in await response.text()
    assert await problem(response) == (500, "internal", [])


async def test_message_is_read_edited_and_deleted_by_its_sender(
    client: Client, channel: str
) -> None:
    message = await sent(client, channel, "one", metadata={"a": 1})
    path = f"/api/messages/{message['id']}"
    assert await (await client.get(path)).json() == message
    edited = await client.patch(path, json={"content": "two"}, headers=ALICE)
    changed = await edited.json()
    assert edited.status == 200
    assert changed["editedAt"] is not None
    assert changed == {**message, "rev": 2, "content": "two", "editedAt": changed["editedAt"]}
    again = await client.patch(path, json={"content": "two"}, headers=ALICE)
    assert await again.json() == changed
    assert await (await client.patch(path, headers=ALICE)).json() == changed
    deleted = await client.delete(path, headers=ALICE)
    tombstone = await deleted.json()
    assert deleted.status == 200
    assert list(tombstone) == ["id", "rev", "channelId", "number", "deleted", "deletedAt"]
    Tombstone.model_validate(tombstone)
    assert (tombstone["rev"], tombstone["deleted"]) == (3, True)
    assert await (await client.delete(path, headers=ALICE)).json() == tombstone
    assert await problem(await client.get(path)) == (404, "not_found", [])
    late = await client.patch(path, json={"content": "three"}, headers=ALICE)
    assert await problem(late) == (404, "not_found", [])


async def test_message_is_not_changed_by_another(client: Client, channel: str) -> None:
    message = await sent(client, channel, "one")
    path = f"/api/messages/{message['id']}"
    for headers, expected in ((BOB, (403, "forbidden")), ({}, (401, "not_authenticated"))):
        edit = await client.patch(path, json={"content": "two"}, headers=headers)
        assert (await problem(edit))[:2] == expected
        assert (await problem(await client.delete(path, headers=headers)))[:2] == expected
    assert await (await client.get(path)).json() == message


async def test_message_that_is_not_there_is_not_found(client: Client) -> None:
    path = f"/api/messages/{new_id()}"
    assert (await problem(await client.get(path)))[1] == "not_found"
    edit = await client.patch(path, json={"content": "x"}, headers=ALICE)
    assert (await problem(edit))[1] == "not_found"
    assert (await problem(await client.delete(path, headers=ALICE)))[1] == "not_found"


@pytest.mark.parametrize(
    "message_id", ["5", "x" * 36, "%00", "..%2Fx", "01A21447-3675-78EE-AAE3-F238DD4C426A"]
)
async def test_strange_id_in_a_path_is_invalid(client: Client, message_id: str) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        response = await client.request(method, f"/api/messages/{message_id}", headers=ALICE)
        assert await problem(response) == (422, "invalid", ["id"])


async def test_change_without_a_number_is_published_once_it_has_one(
    client: Client,
    channel: str,
    settings: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher, "LOOKS_AFTER_SECONDS", [n / 4 for n in range(1, 200)])
    message = await sent(client, channel, "one")
    path = f"/api/messages/{message['id']}"
    async with asyncio.timeout(10):  # It waits for no number.
        assert (await client.patch(path, json={"content": "two"}, headers=ALICE)).status == 200
    assert len(await published(settings, channel)) == 1
    query = {"_id": message["id"]}
    await database["messages"].update_one(query, {"$set": {"number": 1}})
    async with asyncio.timeout(30):
        while len(records := await published(settings, channel)) == 1:
            pass
    assert [(r["type"], r["rev"]) for r in records] == [
        ("message_created", 1),
        ("message_updated", 2),
    ]
    assert records[1]["message"]["number"] == 1
    assert (await client.delete(path, headers=ALICE)).status == 200
    assert (await published(settings, channel))[-1]["type"] == "message_deleted"


async def test_change_that_never_gets_a_number_stays_pending(
    client: Client, channel: str, settings: Settings, database: Database
) -> None:
    message = await sent(client, channel, "one")
    path = f"/api/messages/{message['id']}"
    await client.patch(path, json={"content": "two"}, headers=ALICE)
    await asyncio.sleep(1.3)
    assert len(await published(settings, channel)) == 1
    document = await database["messages"].find_one({"_id": message["id"]})
    assert document is not None
    assert document["pendingSince"] is not None


async def test_page_of_an_unknown_channel_is_empty(client: Client, channel: str) -> None:
    assert await page(client, channelId=channel) == ([], None, "miss")


async def test_page_holds_numbered_undeleted_messages_only(
    client: Client, channel: str, database: Database
) -> None:
    first = await sent(client, channel)
    await sent(client, channel)
    await number_all(client, channel, database)
    await sent(client, channel)
    await client.delete(f"/api/messages/{first['id']}", headers=ALICE)
    await forget(client, channel)
    assert await page(client, channelId=channel) == ([2], None, "miss")


async def test_page_after_a_miss_is_a_hit_with_the_same_bytes(
    client: Client, channel: str, database: Database
) -> None:
    for n in range(5):
        await sent(client, channel, str(n))
    await number_all(client, channel, database)
    answers = []
    for expected in ("hit", "miss", "hit"):
        if expected == "miss":
            await forget(client, channel)
        response = await client.get("/api/messages", params={"channelId": channel})
        assert response.headers["X-Cache"] == expected
        answers.append(await response.read())
    assert answers[0] == answers[1] == answers[2]


async def test_pages_join_in_both_directions(
    client: Client, channel: str, database: Database
) -> None:
    await asyncio.gather(*(sent(client, channel, str(n)) for n in range(130)))
    await number_all(client, channel, database)
    newest_first = list(range(130, 0, -1))

    found: list[int] = []
    caches = []
    bound: str | None = None
    while True:
        query: dict[str, str | int] = {"channelId": channel, "limit": 30}
        if bound is not None:
            query["before"] = bound
        numbers, bound, cache = await page(client, **query)
        found += numbers
        caches.append(cache)
        if bound is None:
            break
    assert found == newest_first
    assert caches == ["hit", "hit", "hit", "miss", "miss"]

    found = []
    caches = []
    bound = "0"
    while bound is not None:
        numbers, bound, cache = await page(client, channelId=channel, limit=30, after=bound)
        found = numbers + found
        caches.append(cache)
    assert found == newest_first
    assert caches == ["miss", "hit", "hit", "hit", "hit"]


async def test_page_takes_message_ids_as_bounds(
    client: Client, channel: str, database: Database
) -> None:
    messages = [await sent(client, channel, str(n)) for n in range(4)]
    await number_all(client, channel, database)
    ids = [message["id"] for message in messages]
    for cached in (True, False):
        if not cached:
            await forget(client, channel)
        assert (await page(client, channelId=channel, before=ids[2]))[0] == [2, 1]
        if not cached:
            await forget(client, channel)
        assert (await page(client, channelId=channel, after=ids[1]))[0] == [4, 3]
    elsewhere = await client.get("/api/messages", params={"channelId": "other", "before": ids[0]})
    assert await problem(elsewhere) == (422, "invalid", ["before"])


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("", ["channelId"]),
        ("channelId=a%20b", ["channelId"]),
        ("channelId=c&limit=0", ["limit"]),
        ("channelId=c&limit=101", ["limit"]),
        ("channelId=c&limit=x", ["limit"]),
        ("channelId=c&limit=1&limit=2", ["limit"]),
        ("channelId=c&before=%00", ["before"]),
        ("channelId=c&after=1.5", ["after"]),
        ("channelId=c&before=1&after=1", ["after"]),
        ("channelId=c&offset=1", ["offset"]),
        ("channelId=c&%ff=1", None),
    ],
)
async def test_page_with_a_wrong_query_is_refused(
    client: Client, query: str, paths: list[str] | None
) -> None:
    status, code, found = await problem(await client.get(f"/api/messages?{query}"))
    assert (status, code) == (422, "invalid")
    assert paths is None or found == paths


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/messages"),
        ("GET", "/api/messages/01a21502-3e77-7d6a-9ae8-bf02c7cfb2d4"),
        ("GET", "/api/channels/c/stats"),
        ("GET", "/ws"),
    ],
)
async def test_query_of_a_call_that_has_none_is_refused(
    client: Client, method: str, path: str
) -> None:
    unknown = await client.request(method, f"{path}?userId=u&limit=1")
    assert await problem(unknown) == (422, "invalid", ["limit"])
    twice = await client.request(method, f"{path}?userId=u&userId=v")
    assert await problem(twice) == (422, "invalid", ["userId"])


async def test_requests_are_counted_by_route(client: Client, channel: str) -> None:
    await sent(client, channel)
    await client.get(f"/api/messages/{new_id()}")
    await client.get("/etc/passwd")
    metrics = await (await client.get("/metrics")).text()
    assert 'hubbub_http_requests_total{method="POST",route="/api/messages",status="201"}' in metrics
    assert 'method="GET",route="/api/messages/{id}",status="404"' in metrics
    assert 'method="other",route="unmatched",status="404"' in metrics
    assert "/etc/passwd" not in metrics


async def test_readiness_names_each_dependency(client: Client) -> None:
    response = await client.get("/readyz")
    assert response.status == 200
    everything = {name: {"ok": True} for name in ("kafka", "redis", "mongodb")}
    assert await response.json() == {"status": "ok", "dependencies": everything}
    assert (await client.get("/healthz")).status == 200


async def test_miss_that_an_append_overtakes_fills_nothing(
    client: Client, channel: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sent(client, channel)
    await number_all(client, channel, database)
    await forget(client, channel)
    read = Messages.page

    async def read_and_be_overtaken(self: Messages, *args: Any, **bounds: Any) -> list[Document]:
        found = await read(self, *args, **bounds)
        await sent(client, channel)
        await number_all(client, channel, database)
        await forget(client, channel)
        return found

    monkeypatch.setattr(Messages, "page", read_and_be_overtaken)
    assert await page(client, channelId=channel) == ([1], None, "miss")
    monkeypatch.undo()
    assert await page(client, channelId=channel) == ([2, 1], None, "miss")
    assert await page(client, channelId=channel) == ([2, 1], None, "hit")


async def lose_numbers(
    client: Client, channel: str, database: Database, *lost: int
) -> Callable[[], Awaitable[None]]:
    """Make a channel of three messages of which MongoDB has lost numbers; return what gives them
    again."""
    for n in range(3):
        await sent(client, channel, str(n))
    await number_all(client, channel, database)
    messages = database["messages"]
    found = await messages.find({"channelId": channel, "number": {"$in": lost}}).to_list(None)
    for document in found:
        await messages.update_one({"_id": document["_id"]}, {"$unset": {"number": ""}})

    async def give_again() -> None:
        for document in found:
            number = {"$set": {"number": document["number"]}}
            await messages.update_one({"_id": document["_id"]}, number)

    return give_again


async def test_miss_waits_for_numbers_that_mongodb_has_lost(
    client: Client, channel: str, database: Database
) -> None:
    give_again = await lose_numbers(client, channel, database, 3)
    await forget(client, channel)
    asking = asyncio.create_task(page(client, channelId=channel))
    await asyncio.sleep(0.1)
    await give_again()
    assert await asking == ([3, 2, 1], None, "miss")
    assert await page(client, channelId=channel) == ([3, 2, 1], None, "hit")


async def test_miss_while_mongodb_lacks_numbers_is_unavailable_and_fills_nothing(
    client: Client, channel: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_cache, "WAIT_SECONDS", 0.1)
    give_again = await lose_numbers(client, channel, database, 3)
    await forget(client, channel)
    response = await client.get("/api/messages", params={"channelId": channel})
    assert (await problem(response))[:2] == (503, "unavailable")
    assert (await response.json())["dependency"] == "mongodb"
    await give_again()
    assert await page(client, channelId=channel) == ([3, 2, 1], None, "miss")


async def test_page_below_the_list_while_mongodb_lacks_its_numbers_is_unavailable(
    client: Client, channel: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_cache, "WAIT_SECONDS", 0.1)
    give_again = await lose_numbers(client, channel, database, 2, 3)
    await gateway_of(client).redis.ltrim(channel_stream(channel).name, 0, 0)
    for query in ({"before": 3}, {"after": 0}):
        response = await client.get("/api/messages", params={"channelId": channel, **query})
        assert response.status == 503
    assert await page(client, channelId=channel, before=2) == ([1], None, "miss")
    await give_again()
    assert await page(client, channelId=channel, before=3) == ([2, 1], None, "miss")


async def test_page_that_needs_none_of_the_lost_numbers_is_answered(
    client: Client, channel: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_cache, "WAIT_SECONDS", 0.1)
    await lose_numbers(client, channel, database, 3)
    await forget(client, channel)
    assert await page(client, channelId=channel, before=3) == ([2, 1], None, "miss")


async def test_page_goes_on_without_numbers_that_never_come_back(
    client: Client, channel: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_of(client).cache, "_lost_seconds", 0.0)
    await lose_numbers(client, channel, database, 3)
    await forget(client, channel)
    assert await page(client, channelId=channel) == ([2, 1], None, "miss")
    assert await page(client, channelId=channel) == ([2, 1], None, "miss")


async def test_miss_while_the_newest_is_deleted_fills_the_list(
    client: Client, channel: str, database: Database
) -> None:
    for n in range(2):
        await sent(client, channel, str(n))
    await number_all(client, channel, database)
    await forget(client, channel)
    newest = {"channelId": channel, "number": 2}
    await database["messages"].update_one(newest, {"$set": {"deletedAt": datetime.now(UTC)}})
    assert await page(client, channelId=channel) == ([1], None, "miss")
    assert await page(client, channelId=channel) == ([1], None, "hit")


async def test_page_while_the_list_is_something_else_comes_from_mongodb(
    client: Client, channel: str, database: Database
) -> None:
    await sent(client, channel)
    await number_all(client, channel, database)
    await forget(client, channel)
    await gateway_of(client).redis.set(channel_stream(channel).name, "no list")
    assert await page(client, channelId=channel) == ([1], None, "miss")
    assert await page(client, channelId=channel) == ([1], None, "hit")


async def test_gateway_serves_its_openapi_document(client: Client) -> None:
    document = await (await client.get("/api/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    assert {"/api/messages", "/api/channels/{id}/read"} <= set(document["paths"])


@pytest.mark.usefixtures("patient")
async def test_posts_with_one_key_through_three_gateways_are_one_message(
    client: Client, channel: str, settings: Settings, database: Database
) -> None:
    async with running_gateway(settings) as second, running_gateway(settings) as third:
        gateways = [client, second, third]
        responses = await asyncio.gather(
            *(send(gateways[n % 3], channel, nonce="one key") for n in range(99))
        )
        assert sorted(r.status for r in responses) == [200] * 98 + [201]
        assert len({await r.read() for r in responses}) == 1
    assert await database["messages"].count_documents({"channelId": channel}) == 1
    assert len(await published(settings, channel)) == 1


async def test_message_that_its_gateway_never_published_is_published_when_repeated(
    client: Client, database: Database, settings: Settings
) -> None:
    """As a client does whose gateway died between MongoDB and Kafka."""
    channel = "never-published"
    message = await sent(client, channel, "once", nonce="k")
    await published(settings, channel)
    long_ago = datetime.now(UTC) - timedelta(seconds=5)
    await database["messages"].update_one({"_id": message["id"]}, {"$set": {"createdAt": long_ago}})
    repeated = await send(client, channel, "once", nonce="k")
    assert repeated.status == 200
    await send(client, channel, "next")
    contents = [record["message"]["content"] for record in await published(settings, channel)]
    assert contents == ["once", "once", "next"]
