"""Notifications end to end, on real servers and in real processes."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaProducer

from app.announcements import encode_notification
from app.ids import new_id
from dev.processes import Process
from tests.support.clients import event_source, websocket
from tests.support.stack import Stack, Stored


@pytest.fixture(scope="module")
def processes(stack: Stack) -> dict[str, Process]:
    worker = "notifications.1"
    started = [*stack.start("web.1", "web.2"), *stack.start(worker, HUBBUB_INSTANCE=worker)]
    return {process.name: process for process in started}


@pytest.fixture
def documents(stored: Stored) -> Any:
    return stored["notifications"]


@pytest.fixture
def user() -> str:
    """A user of the test's own."""
    return f"u-{uuid4().hex[:12]}"


async def notify(
    http: aiohttp.ClientSession, url: str, *users: str, n: int = 0, key: str = ""
) -> list[str]:
    body = {"userIds": users, "kind": "reminder", "data": {"n": n}}
    headers = {"Idempotency-Key": key} if key else {}
    async with http.post(f"{url}/api/notifications", json=body, headers=headers) as response:
        assert response.status == 202, await response.text()
        items = (await response.json())["items"]
        assert [item["userId"] for item in items] == list(dict.fromkeys(users))
        return [item["id"] for item in items]


async def read(http: aiohttp.ClientSession, url: str, user: str, ids: list[str] | None) -> None:
    body = {} if ids is None else {"ids": ids}
    address = f"{url}/api/users/{user}/notifications/read"
    async with http.post(address, json=body, headers={"X-User-Id": user}) as response:
        assert response.status == 204, await response.text()
        assert await response.read() == b""


async def listed(http: aiohttp.ClientSession, url: str, user: str, **query: Any) -> Any:
    address = f"{url}/api/users/{user}/notifications"
    async with http.get(address, params=query, headers={"X-User-Id": user}) as response:
        assert response.status == 200, await response.text()
        return orjson.loads(await response.read())


async def counted(url: str, user: str) -> int:
    """What `hello` says."""
    async with websocket(url, user) as client:
        return int(client.frames[0]["notifications"])


async def test_notification_reaches_every_connection_and_is_stored_listed_and_counted(
    http: aiohttp.ClientSession, one: str, two: str, user: str
) -> None:
    async with (
        websocket(one, user) as first,
        websocket(two, user) as second,
        event_source(two, "anything", user=user) as third,
        websocket(one, f"{user}-other") as stranger,
    ):
        assert first.frames[0]["notifications"] == 0
        (notification_id,) = await notify(http, one, user, n=1)
        for client in (first, second, third):
            frame = await client.until_type("notification")
            assert (frame["userId"], frame["seq"]) == (user, 1)
            data = dict(frame["data"])
            assert data.pop("unread") == 1
            assert data == {
                "id": notification_id,
                "kind": "reminder",
                "data": {"n": 1},
                "createdAt": data["createdAt"],
                "readAt": None,
            }
        assert await listed(http, two, user) == {"items": [data], "unread": 1, "next": None}
        assert await counted(two, user) == 1
        assert not stranger.of_type("notification")


async def test_reading_is_told_to_every_connection_and_counts_exactly(
    http: aiohttp.ClientSession, one: str, two: str, user: str, documents: Any
) -> None:
    async with websocket(one, user) as first, websocket(two, user) as second:
        ids = [(await notify(http, one, user, n=n))[0] for n in range(5)]
        await second.until_type("notification", 5)
        # Repeated, read before, and another's: each counts once or not at all.
        (others,) = await notify(http, one, f"{user}-other")
        async with asyncio.timeout(45):
            while documents.find_one({"_id": others}) is None:
                await asyncio.sleep(0.05)
        for wanted in ([ids[0], ids[0]], [ids[0], ids[1]], [others]):
            await read(http, two, user, wanted)
        await first.until_type("notifications_read", 3)
        frames = first.of_type("notifications_read")
        assert [frame["data"]["ids"] for frame in frames] == [
            [ids[0], ids[0]],
            [ids[0], ids[1]],
            [others],
        ]
        assert frames[-1]["data"]["unread"] == 3
        assert await counted(one, user) == 3
        page = await listed(http, one, user)
        assert page["unread"] == 3
        assert [item["id"] for item in page["items"]] == ids[::-1]
        assert [item["readAt"] is None for item in page["items"]] == [
            True,
            True,
            True,
            False,
            False,
        ]
        assert documents.find_one({"_id": others})["readAt"] is None
        await read(http, one, user, None)
        frame = await second.until_type("notifications_read", 4)
        assert frame["data"] == {"ids": None, "unread": 0}
        assert await counted(two, user) == 0
        await notify(http, one, user)
        assert (await first.until_type("notification", 6))["data"]["unread"] == 1
        assert await counted(two, user) == 1


async def test_list_is_paged_newest_first(http: aiohttp.ClientSession, one: str, user: str) -> None:
    async with websocket(one, user) as client:
        for n in range(5):
            await notify(http, one, user, n=n)
        await client.until_type("notification", 5)
    seen: list[int] = []
    query: dict[str, Any] = {"limit": 2}
    for _ in range(3):
        page = await listed(http, one, user, **query)
        seen += [item["data"]["n"] for item in page["items"]]
        assert page["unread"] == 5
        query["before"] = page["next"]
    assert seen == [4, 3, 2, 1, 0]
    assert page["next"] is None


async def test_missed_notifications_follow_after_a_disconnect(
    http: aiohttp.ClientSession, one: str, two: str, user: str
) -> None:
    async with websocket(one, user) as first:
        await notify(http, one, user, n=0)
        cursor = (await first.until_type("notification"))["cursor"]
    for n in (1, 2):
        await notify(http, one, user, n=n)
    async with websocket(two, user, is_back=True) as second:
        await second.send("resume", id=1, user=cursor)
        assert (await second.until_type("resumed"))["recovered"] == "log"
        await second.until_type("notification", 2)
        await asyncio.sleep(0.3)
        frames = second.of_type("notification")
        assert [(f["seq"], f["data"]["data"]["n"]) for f in frames] == [(2, 1), (3, 2)]


async def test_notification_published_twice_has_one_effect(
    http: aiohttp.ClientSession, one: str, user: str, stack: Stack, documents: Any
) -> None:
    async with websocket(one, user) as client:
        first = await notify(http, one, user, n=7, key=f"key-{user}")
        assert await notify(http, one, user, n=7, key=f"key-{user}") == first
        value = encode_notification(first[0], user, "reminder", {"n": 7})
        async with AIOKafkaProducer(bootstrap_servers=stack.kafka.address) as producer:
            for _ in range(3):
                await producer.send_and_wait("notifications", value, key=user.encode())
        await notify(http, one, user, n=8)
        await client.until_type("notification", 2)
        frames = client.of_type("notification")
        assert [(f["data"]["data"]["n"], f["data"]["unread"]) for f in frames] == [(7, 1), (8, 2)]
    assert documents.count_documents({"userId": user}) == 2
    assert await counted(one, user) == 2


async def test_killed_worker_loses_nothing_and_counts_nothing_twice(
    http: aiohttp.ClientSession, one: str, two: str, processes: dict[str, Process], user: str
) -> None:
    worker = processes["notifications.1"]
    users = [f"{user}-{n}" for n in range(4)]
    told: dict[str, list[str]] = {each: [] for each in users}

    async def tell_and_read(each: str) -> None:
        for n in range(60):
            told[each] += await notify(http, (one, two)[n % 2], each, n=n)
            if n % 4 == 3:
                await read(http, two, each, told[each][n - 3 : n])

    async def kill_twice() -> None:
        for _ in range(2):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(worker.kill)
            worker.start()
            await asyncio.to_thread(worker.wait_ready)

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(websocket(two, each)) for each in users]
        await asyncio.gather(kill_twice(), *map(tell_and_read, users))
        for each, client in zip(users, clients, strict=True):
            await client.until_type("notifications_read", 15, 60)
            await client.until_type("notification", 60)
            await asyncio.sleep(0.2)
            frames = client.of_type("notification", "notifications_read")
            assert [f["seq"] for f in frames] == list(range(1, 76))
            assert [f["data"]["id"] for f in frames if f["type"] == "notification"] == told[each]
            assert frames[-1]["data"]["unread"] == 15
            assert await counted(one, each) == 15
            page = await listed(http, one, each, limit=100)
            assert [item["id"] for item in page["items"]] == told[each][::-1]
            assert sum(item["readAt"] is None for item in page["items"]) == 15


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"userIds": [], "kind": "k"}, "userIds"),
        ({"userIds": ["a b"], "kind": "k"}, "userIds.0"),
        ({"userIds": ["u"] * 101, "kind": "k"}, "userIds"),
        ({"userIds": ["u"], "kind": ""}, "kind"),
        ({"userIds": ["u"]}, "kind"),
        ({"userIds": ["u"], "kind": "k", "data": [1]}, "data"),
        ({"userIds": ["u"], "kind": "k", "data": {"x": "y" * 5000}}, "data"),
        ({"userIds": ["u"], "kind": "k", "more": 1}, "more"),
    ],
)
async def test_wrong_field_is_named(
    http: aiohttp.ClientSession, one: str, body: dict[str, Any], path: str
) -> None:
    async with http.post(f"{one}/api/notifications", json=body) as response:
        problem = orjson.loads(await response.read())
    assert (response.status, problem["code"]) == (422, "invalid")
    assert [error["path"] for error in problem["errors"]] == [path]


async def test_notifications_of_others_are_nobodys_business(
    http: aiohttp.ClientSession, one: str, user: str
) -> None:
    (notification_id,) = await notify(http, one, user)
    address = f"{one}/api/users/{user}/notifications"
    wrong = {"X-User-Id": f"{user}-other"}
    cases: list[tuple[str, str, dict[str, str], int]] = [
        ("GET", address, wrong, 403),
        ("POST", f"{address}/read", wrong, 403),
        ("GET", address, {}, 401),
        ("GET", f"{one}/api/users/a%20b/notifications", wrong, 422),
        ("GET", f"{address}?before=7", {"X-User-Id": user}, 422),
        ("GET", f"{address}?before={new_id()}", {"X-User-Id": user}, 422),
        (
            "GET",
            f"{one}/api/users/{user}-other/notifications?before={notification_id}",
            wrong,
            422,
        ),
    ]
    for method, url, headers, status in cases:
        async with http.request(method, url, headers=headers) as response:
            assert response.status == status, (method, url, await response.text())


async def test_notification_during_an_outage_of_kafka_is_refused_and_told_once_when_repeated(
    http: aiohttp.ClientSession, one: str, user: str, stack: Stack, documents: Any
) -> None:
    body = {"userIds": [user], "kind": "k"}
    headers = {"Idempotency-Key": f"key-{user}", "X-User-Id": user}
    async with websocket(one, user) as client:
        await asyncio.to_thread(stack.kafka.kill)
        async with http.post(f"{one}/api/notifications", json=body, headers=headers) as response:
            problem = orjson.loads(await response.read())
        assert (response.status, problem["code"], problem["dependency"]) == (
            503,
            "unavailable",
            "kafka",
        )
        address = f"{one}/api/users/{user}/notifications/read"
        async with http.post(address, headers=headers) as response:
            assert response.status == 503
        await asyncio.to_thread(stack.kafka.start)
        async with asyncio.timeout(40):
            while response.status != 202:
                async with http.post(
                    f"{one}/api/notifications", json=body, headers=headers
                ) as response:
                    assert response.status in (202, 503)
        await notify(http, one, user, n=1)
        await client.until(
            lambda each: (
                [f["data"]["data"] for f in each.of_type("notification")][-1:] == [{"n": 1}]
            ),
            40,
        )
        assert [f["data"]["data"] for f in client.of_type("notification")] == [{}, {"n": 1}]
    assert documents.count_documents({"userId": user}) == 2
