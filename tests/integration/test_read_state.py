"""Unread counts, mentions and read state, on real servers and through the real processes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid5

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from redis import Redis as RedisClient

from app.ids import new_id
from dev.processes import Process
from tests.support.chat import Chat, chatting
from tests.support.clients import event_source, websocket
from tests.support.stack import Stack, Stored
from tests.support.waiting import until


@pytest.fixture(scope="module")
def gateways(stack: Stack) -> list[Process]:
    return stack.start("web.1", "web.2")


@pytest.fixture(scope="module")
def worker(stack: Stack) -> Process:
    return stack.start("messages.1", HUBBUB_INSTANCE="messages.1")[0]


@pytest.fixture
async def chat(gateways: list[Process], worker: Process) -> AsyncIterator[Chat]:
    async with chatting(gateways[0].url) as chat:
        yield chat


@pytest.fixture
async def other(gateways: list[Process]) -> AsyncIterator[Chat]:
    async with chatting(gateways[1].url) as chat:
        yield chat


@pytest.fixture
def channel() -> str:
    return f"c-{new_id()}"


@pytest.fixture
def bob() -> str:
    return f"bob-{new_id()}"


async def records(stack: Stack, topic: str, key: str) -> list[Any]:
    """Every record of a key, in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka.address)
    await consumer.start()
    try:
        places = [TopicPartition(topic, n) for n in await _partitions(consumer, topic)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found: list[Any] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found += [orjson.loads(r.value) for r in batch if r.key == key.encode()]
        return found
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    consumer.subscribe([topic])
    await consumer.getmany(timeout_ms=0)
    known = await consumer._client.fetch_all_metadata()
    consumer.unsubscribe()
    return sorted(known.partitions_for_topic(topic))


# Counting


async def test_messages_count_for_who_joined_before_and_not_for_their_sender(
    chat: Chat, other: Chat, channel: str, bob: str
) -> None:
    await chat.post("alice", channel)
    await chat.unread_is("alice", channel, 0, 0, 1, 1)
    async with websocket(other.url, bob) as client:
        await client.join(channel)
        await client.until_type("member_joined")
    # What was there before them is not new to them.
    assert await chat.unread(bob) == {channel: (0, 0, 1, 1)}
    for _ in range(3):
        await other.post("alice", channel)
    await chat.unread_is(bob, channel, 3, 0, 1, 4)
    assert (await other.unread("alice"))[channel] == (0, 0, 4, 4)


async def test_channel_and_membership_are_there_when_the_user_is_told(
    chat: Chat, other: Chat, channel: str, bob: str
) -> None:
    async with websocket(other.url, bob) as client:
        await client.join(channel)
        await client.until_type("member_joined")
        status, found = await chat.call("GET", f"/api/channels/{channel}", bob)
        assert (status, found["kind"]) == (200, "open")
        _, members = await chat.call("GET", f"/api/channels/{channel}/members", bob)
        assert [member["userId"] for member in members["items"]] == [bob]


async def test_counts_agree_as_soon_as_the_message_is_seen(
    chat: Chat, other: Chat, channel: str, bob: str
) -> None:
    async with websocket(other.url, bob) as client:
        await client.join(channel)
        await client.until_type("member_joined")
        for number in range(1, 21):
            await chat.post("alice", channel)
            await client.until_type("message", number)
            assert await other.unread(bob) == {channel: (number, 0, 0, number)}


async def test_message_marks_its_channel_read_for_its_sender(
    chat: Chat, channel: str, bob: str
) -> None:
    await chat.post(bob, channel)
    await chat.post("alice", channel, mentions=[bob])
    await chat.unread_is(bob, channel, 1, 1, 1, 2)
    async with websocket(chat.url, bob) as client:
        await chat.post(bob, channel)
        frame = await client.until_type("channel_read")
    assert frame["data"] == {"channelId": channel, "number": 3, "unread": 0, "mentions": 0}
    assert await chat.unread(bob) == {channel: (0, 0, 3, 3)}


async def test_deleted_message_counts_until_it_is_read(chat: Chat, channel: str, bob: str) -> None:
    await chat.post(bob, channel)
    message = await chat.post("alice", channel)
    await chat.unread_is(bob, channel, 1, 0, 1, 2)
    status, _ = await chat.call("DELETE", f"/api/messages/{message['id']}", "alice")
    assert status == 200
    await asyncio.sleep(0.3)
    assert await chat.unread(bob) == {channel: (1, 0, 1, 2)}


# Marking


async def test_read_reaches_all_connections_of_the_user_and_nobody_else(
    chat: Chat, other: Chat, channel: str, bob: str
) -> None:
    await chat.post(bob, channel)
    for _ in range(3):
        await chat.post("alice", channel)
    await chat.unread_is(bob, channel, 3, 0, 1, 4)
    async with (
        websocket(chat.url, bob) as first,
        event_source(other.url, "elsewhere", user=bob) as second,
        websocket(other.url, "stranger") as stranger,
    ):
        await first.send("read", id=7, channelId=channel, number=2)
        data = {"channelId": channel, "number": 2, "unread": 2, "mentions": 0}
        for client in (first, second):
            frame = await client.until_type("channel_read")
            assert (frame["userId"], frame["data"]) == (bob, data)
            assert (await other.unread(bob))[channel] == (2, 0, 2, 4)
        assert (await first.until_type("ack"))["id"] == 7
        assert stranger.of_type("channel_read") == []


async def test_read_never_goes_back_nor_beyond_the_newest(
    chat: Chat, channel: str, bob: str
) -> None:
    await chat.post(bob, channel)
    await chat.post("alice", channel)
    await chat.unread_is(bob, channel, 1, 0, 1, 2)
    assert await chat.mark_read(bob, channel, number=999) == (204, None)
    await chat.unread_is(bob, channel, 0, 0, 2, 2)
    assert (await chat.mark_read(bob, channel, number=1))[0] == 204
    await chat.post("alice", channel)
    await chat.unread_is(bob, channel, 1, 0, 2, 3)


async def test_read_without_a_number_reads_all_and_leaves_later_messages_unread(
    chat: Chat, channel: str, bob: str
) -> None:
    await chat.post(bob, channel)
    await chat.post("alice", channel)
    await chat.unread_is(bob, channel, 1, 0, 1, 2)
    assert (await chat.mark_read(bob, channel))[0] == 204
    await chat.post("alice", channel)
    await chat.unread_is(bob, channel, 1, 0, 2, 3)


async def test_clearing_marks_every_channel_as_read(chat: Chat, channel: str, bob: str) -> None:
    channels = [f"{channel}-{n}" for n in range(5)]
    for each in channels:
        await chat.post(bob, each)
        await chat.post("alice", each, mentions=[bob])
    for each in channels:
        await chat.unread_is(bob, each, 1, 1, 1, 2)
    async with websocket(chat.url, bob) as client:
        hello = client.of_type("hello")[0]
        assert hello["unread"] == {"total": 5, "mentions": 5}
        assert await chat.call("DELETE", f"/api/users/{bob}/unread", bob) == (204, None)
        await client.until_type("channel_read", 5)
    assert await chat.unread(bob) == dict.fromkeys(channels, (0, 0, 2, 2))


async def test_unread_of_another_user_is_refused(chat: Chat, bob: str) -> None:
    for method in ("GET", "DELETE"):
        status, problem = await chat.call(method, f"/api/users/{bob}/unread", "mallory")
        assert (status, problem["code"]) == (403, "forbidden")


async def test_receipts_say_how_far_each_member_has_read(
    chat: Chat, channel: str, bob: str
) -> None:
    await chat.post(bob, channel)
    await chat.post("alice", channel)
    await chat.unread_is("alice", channel, 0, 0, 2, 2)
    await chat.unread_is(bob, channel, 1, 0, 1, 2)
    path = f"/api/channels/{channel}/reads"
    assert await chat.call("GET", f"{path}?limit=1", bob) == (
        200, {"items": [{"userId": "alice", "number": 2}], "next": "alice"},
    )  # fmt: skip
    assert await chat.call("GET", f"{path}?limit=1&after=alice", bob) == (
        200, {"items": [{"userId": bob, "number": 1}], "next": None},
    )  # fmt: skip


# Mentions


async def test_mention_in_an_open_channel_makes_a_member_and_a_notification(
    stack: Stack, chat: Chat, other: Chat, channel: str, bob: str
) -> None:
    await chat.post("alice", channel)
    async with websocket(other.url, bob) as client:
        message = await chat.post("alice", channel, mentions=[bob, "alice", bob])
        frame = await client.until_type("member_joined")
        assert frame["data"] == {"channelId": channel, "by": "alice"}
    assert await chat.unread(bob) == {channel: (1, 1, 1, 2)}

    async def is_told() -> bool:
        return bool(await records(stack, "notifications", bob))

    await until(is_told)
    (told,) = await records(stack, "notifications", bob)
    assert told["id"] == str(uuid5(UUID(message["id"]), bob))
    assert (told["type"], told["userId"], told["kind"]) == ("notification", bob, "mention")
    assert told["data"] == {
        "channelId": channel,
        "messageId": message["id"],
        "senderId": "alice",
        "senderName": "Alice",
    }
    assert message["id"] not in str(await records(stack, "notifications", "alice"))
    members = await chat.call("GET", f"/api/channels/{channel}/members", bob)
    assert [member["userId"] for member in members[1]["items"]] == ["alice", bob]


async def test_message_or_mention_in_a_private_channel_makes_no_member(
    chat: Chat, channel: str, bob: str
) -> None:
    made = await chat.call(
        "POST", "/api/channels", "alice", id=channel, name="Secret", kind="private"
    )
    assert made[0] == 201
    await chat.post(f"stranger-{bob}", channel)
    await chat.post("alice", channel, mentions=[bob])
    await chat.unread_is("alice", channel, 0, 0, 2, 2)
    for user in (bob, f"stranger-{bob}"):
        assert await chat.unread(user) == {}
    listed = await chat.call("GET", f"/api/channels/{channel}/members", "alice")
    assert [member["userId"] for member in listed[1]["items"]] == ["alice"]


async def test_mentions_are_counted_until_they_are_read(chat: Chat, channel: str, bob: str) -> None:
    await chat.post(bob, channel)
    for n in range(4):
        await chat.post("alice", channel, mentions=[bob] if n % 2 else [])
    await chat.unread_is(bob, channel, 4, 2, 1, 5)
    await chat.mark_read(bob, channel, number=3)
    await chat.unread_is(bob, channel, 2, 1, 3, 5)


# Membership


async def test_membership_by_another_s_hand_is_told_and_counts_from_there(
    chat: Chat, other: Chat, channel: str, bob: str
) -> None:
    await chat.post("alice", channel)
    member = f"/api/channels/{channel}/members/{bob}"
    async with websocket(other.url, bob) as client:
        assert await chat.call("PUT", member, "alice") == (204, None)
        frame = await client.until_type("member_joined")
        assert (frame["userId"], frame["data"]) == (bob, {"channelId": channel, "by": "alice"})
        assert await chat.unread(bob) == {channel: (0, 0, 1, 1)}
        assert await chat.call("DELETE", member, "alice") == (204, None)
        frame = await client.until_type("member_left")
        assert frame["data"] == {"channelId": channel, "by": "alice"}
        assert await chat.unread(bob) == {}
        await chat.post("alice", channel)
        # Following it again makes a member again, of an open channel.
        await client.join(channel)
        await client.until_type("member_joined", 2)
    assert await chat.unread(bob) == {channel: (0, 0, 2, 2)}


async def test_members_follow_the_records_when_the_worker_comes_late(
    chat: Chat, worker: Process, channel: str, bob: str
) -> None:
    """The message that makes bob a member is worked on when he has been removed already."""
    gone, back = f"gone-{bob}", f"back-{bob}"
    worker.freeze()
    try:
        for user in (gone, back):
            await chat.post(user, channel)
            path = f"/api/channels/{channel}/members/{user}"
            assert (await chat.call("DELETE", path, "alice"))[0] == 204
        assert (await chat.call("PUT", path, "alice"))[0] == 204
    finally:
        worker.thaw()
    await chat.unread_is(back, channel, 0, 0, 2, 2)
    assert await chat.unread(gone) == {}
    listed = await chat.call("GET", f"/api/channels/{channel}/members", "alice")
    assert [member["userId"] for member in listed[1]["items"]] == [back]


async def test_direct_messages_count_for_the_other_of_the_pair(
    chat: Chat, other: Chat, bob: str
) -> None:
    status, made = await chat.call("POST", "/api/channels", "alice", kind="direct", members=[bob])
    assert status == 201
    await chat.post("alice", made["id"])
    await chat.unread_is(bob, made["id"], 1, 0, 0, 1)
    status, found = await other.call("POST", "/api/channels", bob, kind="direct", members=["alice"])
    assert (status, found) == (200, made)


# Crashes and outages


async def test_counts_are_exact_when_the_worker_is_killed_again_and_again(
    stack: Stack, stored: Stored, chat: Chat, other: Chat, worker: Process
) -> None:
    """Three channels, posts, mentions, joins and reads at once, and a worker that keeps dying."""
    channels = [f"kill-{new_id()}" for _ in range(3)]
    users = [f"u{n}-{new_id()}" for n in range(8)]

    async def act(number: int, user: str) -> None:
        gateway = (chat, other)[number % 2]
        for step in range(25):
            channel = channels[(number + step) % 3]
            if step % 5 == 3:
                assert (await gateway.mark_read(user, channel))[0] == 204
            elif step % 5 == 1:
                path = f"/api/channels/{channel}/members/{user}"
                method = "DELETE" if number == 7 and step % 2 else "PUT"
                assert (await gateway.call(method, path, user))[0] == 204
            else:
                named = [users[(number + step) % 8]] if step % 2 else []
                await gateway.post(user, channel, mentions=named)

    async def kill() -> None:
        for _ in range(3):
            await asyncio.sleep(1.2)
            await asyncio.to_thread(worker.kill)
            worker.start()

    await asyncio.gather(kill(), *(act(number, user) for number, user in enumerate(users)))
    await asyncio.to_thread(worker.wait_ready)

    async def is_all_applied() -> bool:
        waiting = {"channelId": {"$in": channels}, "pendingSince": {"$exists": True}}
        return stored["messages"].find_one(waiting) is None

    await until(is_all_applied)  # And so is in Kafka.
    expected = await _expected(stack, channels)
    for user in users:

        async def is_exact(user: str = user) -> bool:
            return bool(await chat.unread(user) == expected[user])

        with suppress(TimeoutError):
            await until(is_exact)
        assert await chat.unread(user) == expected[user]


async def _expected(stack: Stack, channels: list[str]) -> dict[str, Any]:
    """The counts as the topic's records, in order and each once, come to."""
    expected: defaultdict[str, Any] = defaultdict(dict)
    for channel in channels:
        number, seen = 0, set()
        states: dict[str, list[Any]] = {}
        for record in await records(stack, "messages", channel):
            kind = record["type"]
            user = record.get("userId")
            if kind == "message_created" and record["message"]["id"] not in seen:
                seen.add(record["message"]["id"])
                number += 1
                sender = record["message"]["senderId"]
                states[sender] = [number, []]
                for named in {*record["message"]["mentions"]} - {sender}:
                    states.setdefault(named, [number - 1, []])[1].append(number)
            elif kind == "member_joined":
                states.setdefault(user, [number, []])
            elif kind == "member_left":
                states.pop(user, None)
            elif kind == "channel_read" and user in states:
                read = max(states[user][0], min(record["number"], number))
                states[user] = [read, [m for m in states[user][1] if m > read]]
        for user, (read, mentions) in states.items():
            expected[user][channel] = (number - read, len(mentions), read, number)
    return expected


async def test_calls_while_kafka_is_frozen_are_refused_and_succeed_when_repeated(
    stack: Stack, chat: Chat, other: Chat, channel: str, bob: str
) -> None:
    await chat.post(bob, channel)
    await chat.post("alice", channel)
    await chat.unread_is(bob, channel, 1, 0, 1, 2)
    member = f"/api/channels/{channel}/members/carol-{bob}"
    stack.kafka.freeze()
    try:
        read, joined, left, cleared = await asyncio.gather(
            chat.mark_read(bob, channel),
            chat.call("PUT", member, bob),
            other.call("DELETE", f"/api/channels/{channel}/members/nobody", bob),
            other.call("DELETE", f"/api/users/{bob}/unread", bob),
        )
        for status, problem in (read, joined, left, cleared):
            assert (status, problem["code"], problem["dependency"]) == (503, "unavailable", "kafka")
        async with websocket(other.url, bob) as client:
            await client.join(f"{channel}-new")
    finally:
        stack.kafka.thaw()

    async def succeed() -> bool:
        read, joined = await chat.mark_read(bob, channel), await chat.call("PUT", member, bob)
        return (read[0], joined[0]) == (204, 204)

    await until(succeed)
    async with websocket(other.url, bob) as client:
        # The first join's membership is published again, if it has not been acknowledged late.
        await client.join(f"{channel}-new")
        await chat.unread_is(bob, f"{channel}-new", 0, 0, 0, 0)
    await chat.unread_is(bob, channel, 0, 0, 2, 2)


async def test_counts_that_are_wrong_in_redis_are_written_anew_when_they_are_dropped(
    stack: Stack, chat: Chat, channel: str, bob: str
) -> None:
    await chat.post(bob, channel)
    await chat.post("alice", channel, mentions=[bob])
    await chat.unread_is(bob, channel, 1, 1, 1, 2)
    with RedisClient(host="127.0.0.1", port=stack.redis.port) as client:
        client.hset(f"read:{bob}", channel, "[2,[]] other:0:9")
        client.set(f"number:{channel}", "7 other:0:9")
    assert await chat.unread(bob) == {channel: (5, 0, 2, 7)}
    assert await chat.call("DELETE", f"/api/cache/users/{bob}", bob) == (204, None)
    await chat.unread_is(bob, channel, 1, 1, 1, 2)


async def test_counts_come_back_when_redis_is_flushed(
    stack: Stack, chat: Chat, channel: str, bob: str
) -> None:
    await chat.post(bob, channel)
    await chat.post("alice", channel, mentions=[bob])
    await chat.unread_is(bob, channel, 1, 1, 1, 2)
    with RedisClient(host="127.0.0.1", port=stack.redis.port) as client:
        client.flushall()
    await chat.unread_is(bob, channel, 1, 1, 1, 2)
