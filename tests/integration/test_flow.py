"""The walk-through of the README, on real servers and in real processes."""

import asyncio
import subprocess
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from redis import Redis as RedisClient

from dev.processes import Process
from tests.support.clients import event_source, websocket
from tests.support.stack import Stack
from tests.support.waiting import until

GATEWAYS = ("web.1", "web.2")
WORKERS = ("messages.1", "messages.2")


@pytest.fixture(scope="module")
def gateways(stack: Stack) -> list[Process]:
    return stack.start(*GATEWAYS)


@pytest.fixture(scope="module")
def workers(stack: Stack) -> list[Process]:
    return [stack.start(name, HUBBUB_INSTANCE=name)[0] for name in WORKERS]


@pytest.fixture
def redis(stack: Stack) -> Iterator[RedisClient]:
    with RedisClient(host="127.0.0.1", port=stack.redis.port) as client:
        yield client


async def post(session: aiohttp.ClientSession, url: str, channel: str, content: str) -> Any:
    body = {"content": content, "channelId": channel, "senderId": "u1", "senderName": "John"}
    async with session.post(f"{url}/api/messages", json=body) as response:
        assert response.status == 201, await response.text()
        return await response.json()


async def test_message_reaches_cache_and_every_client_on_both_gateways(
    gateways: list[Process], workers: list[Process], redis: RedisClient
) -> None:
    one, two = gateways
    assert one.pid != two.pid
    async with (
        aiohttp.ClientSession() as session,
        websocket(one.url, "a") as first,
        websocket(two.url, "b") as second,
        event_source(one.url, "channel123") as third,
        event_source(two.url, "channel123") as fourth,
    ):
        await first.join("channel123")
        await second.join("channel123")
        posted = await post(session, one.url, "channel123", "Hello World")
        for client in (first, second, third, fourth):
            frame = await client.until_type("message")
            assert frame["data"] == {**posted, "number": 1}
            assert (frame["channelId"], frame["seq"]) == ("channel123", 1)
        cached = redis.lrange("messages:channel123", 0, 10)
        assert isinstance(cached, list)
        assert len(cached) == 1
        assert b'"content":"Hello World"' in cached[0]
        edited = {"content": "Hello again"}
        owner = {"X-User-Id": "u1", "X-User-Name": "John"}
        address = f"{two.url}/api/messages/{posted['id']}"
        async with session.patch(address, json=edited, headers=owner) as response:
            assert response.status == 200
        for client in (first, fourth):
            frame = await client.until_type("message_updated")
            assert (frame["data"]["content"], frame["data"]["rev"]) == ("Hello again", 2)
        async with session.delete(address, headers=owner) as response:
            assert response.status == 200
        for client in (second, third):
            frame = await client.until_type("message_deleted")
            assert frame["data"]["deleted"] is True
        assert redis.lrange("messages:channel123", 0, 10) == []


async def test_group_tool_shows_both_members_and_no_lag(
    stack: Stack, gateways: list[Process], workers: list[Process]
) -> None:
    async with aiohttp.ClientSession() as session, websocket(gateways[0].url) as client:
        await client.join("lag")
        await post(session, gateways[0].url, "lag", "one")
        await client.until_type("message")
    tool = ["dev/bin/kafka-consumer-groups.sh", "--bootstrap-server", stack.kafka.address,
            "--describe", "--group", "messages-group"]  # fmt: skip

    async def has_no_lag() -> bool:
        described = await asyncio.to_thread(subprocess.run, tool, capture_output=True, text=True)
        rows = [line.split() for line in described.stdout.splitlines() if " messages " in line]
        return {row[5] for row in rows if row[3] != "-"} == {"0"}

    await until(has_no_lag)
    members = await asyncio.to_thread(
        subprocess.run, [*tool, "--members"], capture_output=True, text=True
    )
    for worker in WORKERS:
        assert f"messages-group.{worker}" in members.stdout


async def test_killed_worker_loses_nothing_and_doubles_nothing(
    gateways: list[Process], workers: list[Process]
) -> None:
    """1,000 posts over five channels, one of two workers killed in the middle and restarted."""
    channels = [f"kill{n}" for n in range(5)]
    async with (
        aiohttp.ClientSession() as session,
        websocket(gateways[0].url) as first,
        websocket(gateways[1].url) as second,
        event_source(gateways[1].url, *channels) as third,
    ):
        for channel in channels:
            await first.join(channel)
            await second.join(channel)
        accepted: dict[str, list[str]] = {channel: [] for channel in channels}

        async def post_all(channel: str) -> None:
            for number in range(200):
                gateway = gateways[number % 2]
                await post(session, gateway.url, channel, f"{channel}-{number}")
                accepted[channel].append(f"{channel}-{number}")

        async def kill_one() -> None:
            await asyncio.sleep(0.5)
            await asyncio.to_thread(workers[1].kill)
            workers[1].start()

        await asyncio.gather(kill_one(), *(post_all(channel) for channel in channels))
        for client in (first, second, third):
            await client.until(lambda listener: len(listener.of_type("message")) >= 1000, 60)
            await asyncio.sleep(0.2)
            for channel in channels:
                frames = [f for f in client.of_type("message") if f["channelId"] == channel]
                assert [f["data"]["content"] for f in frames] == accepted[channel]
                assert [f["seq"] for f in frames] == list(range(1, 201))
                assert [f["data"]["number"] for f in frames] == list(range(1, 201))
