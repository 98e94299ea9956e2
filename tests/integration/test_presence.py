"""Presence and typing in real processes; only their times are short."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import orjson
import pytest
from redis.asyncio import Redis as RedisClient

from app.keys import active_users, gateway_lease
from dev.processes import Process
from tests.support.clients import WebSocket, event_source, websocket
from tests.support.presence_process import CLOSING_SECONDS, LEASE_SECONDS, MISSING_SECONDS
from tests.support.stack import Stack
from tests.support.waiting import until

GATEWAYS = ("web.1", "web.2")
WORKERS = ("activity.1", "activity.2")


def start(stack: Stack, *names: str) -> list[Process]:
    processes = []
    for name in names:
        kind = name.partition(".")[0]
        process = Process(
            name,
            ["python", "-m", "tests.support.presence_process", kind],
            environment={**stack.environment, "HUBBUB_INSTANCE": name},
            folder=stack.folder,
        )
        process.start()
        processes.append(process)
    for process in processes:
        process.wait_ready()
    return processes


@pytest.fixture(scope="module")
def gateways(stack: Stack) -> Iterator[list[Process]]:
    processes = start(stack, *GATEWAYS)
    yield processes
    for process in processes:
        process.kill()


@pytest.fixture(scope="module")
def workers(stack: Stack) -> Iterator[list[Process]]:
    processes = start(stack, *WORKERS)
    yield processes
    for process in processes:
        process.kill()


@pytest.fixture
async def redis(stack: Stack) -> AsyncIterator[RedisClient]:
    async with RedisClient(host="127.0.0.1", port=stack.redis.port) as client:
        yield client


async def get(url: str, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{url}{path}") as response:
        assert response.status == 200, await response.text()
        return orjson.loads(await response.read())


async def who(url: str, channel: str) -> set[str]:
    body = await get(url, f"/api/channels/{channel}/active-users?limit=100")
    return {item["userId"] for item in body["items"]}


async def until_who(url: str, channel: str, users: set[str], seconds: float = 45) -> None:
    found: set[str] = set()
    try:
        async with asyncio.timeout(seconds):
            while (found := await who(url, channel)) != users:
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{found} instead of {users}") from None


def changes(client: WebSocket, channel: str) -> list[tuple[str, str]]:
    """Who came and went, as one client was told, but for its own coming."""
    return [
        (frame["type"], frame["data"]["userId"])
        for frame in client.of_type("user_joined", "user_left")
        if frame["channelId"] == channel and frame["data"]["userId"] != "watcher"
    ]


async def test_join_and_leave_are_seen_by_others_on_both_gateways(
    gateways: list[Process], workers: list[Process]
) -> None:
    one, two = gateways
    async with (
        websocket(one.url) as watcher,
        websocket(two.url, "ann") as ann,
        event_source(one.url, "lobby", user="eve") as eve,
    ):
        await watcher.join("lobby")
        await watcher.until(lambda c: ("user_joined", "eve") in changes(watcher, "lobby") or
                            "eve" in str(c.of_type("joined")))  # fmt: skip
        await ann.join("lobby")
        # Ann's gateway, too, has heard of her, and remembers no list without her.
        for listener in (watcher, eve, ann):
            await listener.until(lambda c: any(f["data"]["userId"] == "ann"
                                               for f in c.of_type("user_joined")))  # fmt: skip
        async with websocket(two.url, "bob") as bob:
            joined = await bob.join("lobby")
            assert {"userId": "ann", "userName": "Ann"} in joined["activeUsers"]
            assert joined["activeCount"] == len(joined["activeUsers"]) == 3
            await until_who(one.url, "lobby", {"watcher", "eve", "ann", "bob"})
            await bob.send("leave_channel", channelId="lobby")
            await watcher.until(lambda _: ("user_left", "bob") in changes(watcher, "lobby"))
        frame = next(f for f in watcher.of_type("user_left"))
        assert frame == {
            "type": "user_left",
            "channelId": "lobby",
            "data": {"userId": "bob", "userName": "Bob"},
        }


async def test_two_tabs_are_one_user(gateways: list[Process], workers: list[Process]) -> None:
    one, two = gateways
    async with websocket(one.url) as watcher:
        await watcher.join("tabs")
        async with websocket(one.url, "ann") as first:
            await first.join("tabs")
            async with websocket(two.url, "ann") as second:
                await second.join("tabs")
                await until_who(two.url, "tabs", {"watcher", "ann"})
                await second.send("leave_channel", channelId="tabs")
                await second.until_type("left")
                await first.send("leave_channel", channelId="tabs")
                await watcher.until(lambda _: ("user_left", "ann") in changes(watcher, "tabs"))
        assert changes(watcher, "tabs") == [("user_joined", "ann"), ("user_left", "ann")]


async def test_lost_connection_leaves_after_the_grace(
    gateways: list[Process], workers: list[Process]
) -> None:
    one, _ = gateways
    async with websocket(one.url) as watcher:
        await watcher.join("lost")
        async with websocket(one.url, "ann") as ann:
            await ann.join("lost")
            await watcher.until(lambda _: bool(changes(watcher, "lost")))
            ended = time.monotonic()
        await watcher.until(lambda _: len(changes(watcher, "lost")) == 2)
        assert time.monotonic() - ended >= CLOSING_SECONDS
        assert changes(watcher, "lost") == [("user_joined", "ann"), ("user_left", "ann")]
        assert await who(one.url, "lost") == {"watcher"}


async def test_reconnect_within_the_grace_is_silent(
    gateways: list[Process], workers: list[Process]
) -> None:
    one, two = gateways
    async with websocket(one.url) as watcher:
        await watcher.join("back")
        async with websocket(one.url, "ann") as ann:
            await ann.join("back")
            await watcher.until(lambda _: bool(changes(watcher, "back")))
        async with websocket(two.url, "ann") as ann:
            await ann.join("back")
            await asyncio.sleep(CLOSING_SECONDS + 1.5)
            assert changes(watcher, "back") == [("user_joined", "ann")]
            assert await who(one.url, "back") == {"watcher", "ann"}


async def test_killed_gateways_sessions_expire_after_its_lease(
    stack: Stack, gateways: list[Process], workers: list[Process], redis: RedisClient
) -> None:
    one, _ = gateways
    before = set(await redis.keys(gateway_lease("*")))
    (doomed,) = start(stack, "web.9")
    async with websocket(one.url) as watcher:
        await watcher.join("doomed")
        async with websocket(doomed.url, "ann") as ann:
            await ann.join("doomed")
            await watcher.until(lambda _: bool(changes(watcher, "doomed")))
            (lease,) = set(await redis.keys(gateway_lease("*"))) - before
            await asyncio.to_thread(doomed.kill)
            await watcher.until(lambda _: len(changes(watcher, "doomed")) == 2)
            assert not await redis.exists(lease)
        assert await who(one.url, "doomed") == {"watcher"}
        stats = await get(one.url, "/api/channels/doomed/stats")
        assert stats["connections"] == 1


async def test_killed_worker_leaves_the_exact_set(
    gateways: list[Process], workers: list[Process], redis: RedisClient
) -> None:
    """60 users join, half of them leave, while the workers are killed one after the other."""
    one, two = gateways
    async with AsyncExitStack() as opened:
        clients = []
        for n in range(60):
            url = (one, two)[n % 2].url
            clients.append(await opened.enter_async_context(websocket(url, f"u{n}")))

        async def kill_both() -> None:
            for worker in workers:
                await asyncio.sleep(0.4)
                await asyncio.to_thread(worker.kill)
                worker.start()

        killing = asyncio.create_task(kill_both())
        for n, client in enumerate(clients):
            await client.join(f"room{n % 6}")
            if n % 2:
                await client.send("leave_channel", channelId=f"room{n % 6}")
            await asyncio.sleep(0.02)
        await killing
        for room in range(6):
            expected = {f"u{n}" for n in range(room, 60, 6) if not n % 2}
            await until_who(one.url, f"room{room}", expected, 40)
            # And the table, from which a list is built anew.
            await redis.zadd(active_users(f"room{room}"), {"ghost": 2e15})
            address = f"{one.url}/api/cache/channels/room{room}"
            async with aiohttp.ClientSession() as session, session.delete(address) as response:
                assert response.status == 204
            await until_who(one.url, f"room{room}", expected, 40)
    for worker in workers:
        await asyncio.to_thread(worker.wait_ready)


async def test_typing_goes_out_once_in_five_seconds_over_two_gateways(
    gateways: list[Process], workers: list[Process]
) -> None:
    one, two = gateways
    async with (
        aiohttp.ClientSession() as session,
        websocket(one.url) as watcher,
        websocket(two.url, "ann") as ann,
    ):
        await watcher.join("typing")
        await ann.send("typing", id=7, channelId="typing")
        assert (await ann.until_type("ack"))["id"] == 7
        headers = {"X-User-Id": "ann", "X-User-Name": "Ann"}
        async with session.post(f"{one.url}/api/channels/typing/typing", headers=headers) as answer:
            assert answer.status == 204
        frame = await watcher.until_type("typing")
        assert frame == {
            "type": "typing",
            "channelId": "typing",
            "data": {"userId": "ann", "userName": "Ann"},
        }
        await asyncio.sleep(0.5)
        assert len(watcher.of_type("typing")) == 1


async def test_stats_count_over_all_gateways(
    gateways: list[Process], workers: list[Process]
) -> None:
    one, two = gateways
    async with (
        aiohttp.ClientSession() as session,
        websocket(one.url, "ann") as first,
        websocket(two.url, "ann") as second,
        websocket(two.url, "bob") as third,
    ):
        for client in (first, second, third):
            await client.join("stats")
        await until_who(one.url, "stats", {"ann", "bob"})
        body = {"content": "Hi", "channelId": "stats", "senderId": "ann", "senderName": "Ann"}
        async with session.post(f"{one.url}/api/messages", json=body) as response:
            assert response.status == 201

        async def is_counted() -> bool:
            stats = await get(two.url, "/api/channels/stats/stats")
            return (stats["connections"], stats["activeUsers"]) == (3, 2)

        await until(is_counted)
        stats = await get(two.url, "/api/channels/stats/stats")
        assert stats.keys() == {
            "channelId", "messages", "members", "activeUsers", "connections", "lastMessage",
            "cached",
        }  # fmt: skip
        presence = await get(one.url, "/api/presence?userIds=bob,nobody,ann")
        assert presence == {
            "items": [
                {"userId": "bob", "online": True},
                {"userId": "nobody", "online": False},
                {"userId": "ann", "online": True},
            ]
        }


async def test_list_is_built_anew_when_it_is_invalidated(
    gateways: list[Process], workers: list[Process], redis: RedisClient
) -> None:
    one, two = gateways
    async with websocket(one.url, "ann") as ann:
        await ann.join("cache")
        await until_who(two.url, "cache", {"ann"})
        await redis.zadd(active_users("cache"), {"ghost": 2e15})
        assert await who(two.url, "cache") == {"ann", "ghost"}
        async with (
            aiohttp.ClientSession() as session,
            session.delete(f"{one.url}/api/cache/channels/cache") as response,
        ):
            assert response.status == 204
        await until_who(two.url, "cache", {"ann"}, 20)


async def test_lists_and_counts_come_back_when_redis_was_flushed(
    gateways: list[Process], workers: list[Process], redis: RedisClient
) -> None:
    one, two = gateways
    async with websocket(one.url) as watcher, websocket(two.url, "ann") as ann:
        await watcher.join("flush")
        await ann.join("flush")
        await watcher.until(lambda _: bool(changes(watcher, "flush")))
        await redis.flushall()
        await until_who(one.url, "flush", {"watcher", "ann"})

        async def is_counted() -> bool:
            stats = await get(one.url, "/api/channels/flush/stats")
            return bool(stats["connections"] == 2)

        await until(is_counted)
        await asyncio.sleep(LEASE_SECONDS)
        assert await who(one.url, "flush") == {"watcher", "ann"}
        assert changes(watcher, "flush") == [("user_joined", "ann")]


async def test_stopped_gateways_counts_are_gone_at_once(
    stack: Stack, gateways: list[Process], workers: list[Process]
) -> None:
    one, _ = gateways
    (leaving,) = start(stack, "web.8")
    async with websocket(leaving.url, "ann") as ann:
        await ann.join("stop")
        await until_who(one.url, "stop", {"ann"})
        await asyncio.to_thread(leaving.stop)
    assert (await get(one.url, "/api/channels/stop/stats"))["connections"] == 0
    assert (await get(one.url, "/api/presence?userIds=ann"))["items"][0]["online"] is False
    await until_who(one.url, "stop", set())


async def test_gateway_that_was_frozen_past_its_lease_tells_its_sessions_again(
    stack: Stack, gateways: list[Process], workers: list[Process]
) -> None:
    one, _ = gateways
    (frozen,) = start(stack, "web.7")
    try:
        async with websocket(one.url) as watcher, websocket(frozen.url, "ann") as ann:
            await watcher.join("frozen")
            await ann.join("frozen")
            await watcher.until(lambda _: len(changes(watcher, "frozen")) == 1)
            frozen.freeze()
            try:
                await watcher.until(lambda _: len(changes(watcher, "frozen")) == 2, 30)
            finally:
                frozen.thaw()
            await watcher.until(lambda _: len(changes(watcher, "frozen")) == 3)
            assert [kind for kind, _ in changes(watcher, "frozen")] == [
                "user_joined",
                "user_left",
                "user_joined",
            ]
            await asyncio.sleep(2 * MISSING_SECONDS)
            assert await who(one.url, "frozen") == {"watcher", "ann"}
    finally:
        frozen.kill()


async def test_join_does_not_wait_for_kafka_and_is_told_when_it_is_back(
    stack: Stack, gateways: list[Process], workers: list[Process]
) -> None:
    one, two = gateways
    async with websocket(one.url) as watcher, websocket(two.url, "ann") as ann:
        await watcher.join("outage")
        await until_who(one.url, "outage", {"watcher"})
        stack.kafka.freeze()
        try:
            async with asyncio.timeout(10):
                await ann.join("outage")
            await asyncio.sleep(1.5)
            assert changes(watcher, "outage") == []
        finally:
            stack.kafka.thaw()
        await watcher.until(lambda _: changes(watcher, "outage") == [("user_joined", "ann")], 30)
