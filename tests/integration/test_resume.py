"""Resume with a verdict, on real Redis and MongoDB."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis as RedisClient

from app.archive.indexes import ensure_indexes
from app.clients import Database
from app.keys import channel_stream, user_stream
from app.settings import load
from tests.support.realtime import Realtime, WsClient, serve


@pytest.fixture
async def realtime(redis: RedisClient, database: Database) -> AsyncIterator[Realtime]:
    await ensure_indexes(database)
    async with serve(load(), database, redis) as realtime:
        yield realtime


async def last_cursor(realtime: Realtime, channel_id: str) -> str:
    async with WsClient(realtime.url, "witness") as client:
        return str((await client.join(channel_id))["cursor"])


async def test_resume_when_nothing_was_missed_is_log(realtime: Realtime) -> None:
    await realtime.append("c1", 3)
    cursor = await last_cursor(realtime, "c1")
    async with WsClient(realtime.url) as client:
        assert (await client.join("c1", cursor))["recovered"] == "log"
        await realtime.append("c1")
        assert (await client.next())["seq"] == 4


async def test_resume_from_the_log_gets_exactly_the_missed(realtime: Realtime) -> None:
    await realtime.append("c1", 3)
    cursor = await last_cursor(realtime, "c1")
    await realtime.append("c1", 350)
    async with WsClient(realtime.url) as client:
        joined = await client.join("c1", cursor)
        assert (joined["recovered"], joined["cursor"]) == ("log", cursor)
        await realtime.append("c1", 50)
        frames = await client.events(400)
    assert [frame["seq"] for frame in frames] == list(range(4, 404))


async def test_resume_while_events_stream_in_gets_each_once_in_order(realtime: Realtime) -> None:
    cursor = await last_cursor(realtime, "c1")

    async def pour() -> None:
        for _ in range(120):
            await realtime.append("c1", 7)

    pouring = asyncio.create_task(pour())

    async def follow(user: str) -> list[int]:
        seqs: list[int] = []
        since = cursor
        async with asyncio.timeout(60):
            while len(seqs) < 840:
                async with WsClient(realtime.url, user) as client:
                    assert (await client.join("c1", since))["recovered"] == "log"
                    for _ in range(min(90, 840 - len(seqs))):
                        frame = await client.next()
                        seqs.append(frame["seq"])
                        since = frame["cursor"]
        return seqs

    followed = await asyncio.gather(*(follow(f"u{index}") for index in range(5)))
    await pouring
    assert all(seqs == list(range(1, 841)) for seqs in followed)


async def test_resume_past_the_log_gets_history_then_live(realtime: Realtime) -> None:
    await realtime.append("c1", 5, stored=True)
    cursor = await last_cursor(realtime, "c1")
    await realtime.append("c1", 230, stored=True)
    await realtime.store("c1", 2, rev=2, content="edited")
    await realtime.store("c1", 3, rev=2, deletedAt=datetime.now(UTC))
    long_ago = datetime.now(UTC) - timedelta(days=2)
    await realtime.store("c1", 4, rev=2, changedAt=long_ago)
    await realtime.redis.delete(channel_stream("c1").log)
    async with WsClient(realtime.url) as client:
        assert (await client.join("c1", cursor))["recovered"] == "history"
        pages = [await client.until("history")]
        while pages[-1]["more"]:
            pages.append(await client.until("history"))
        await realtime.append("c1", stored=True)
        live = await client.next()
    messages = [message for page in pages for message in page["messages"]]
    assert [len(page["messages"]) for page in pages] == [100, 100, 30, 2]
    assert [message["number"] for message in messages[:230]] == list(range(6, 236))
    assert [message["number"] for message in messages[230:]] == [2, 3]
    assert messages[230]["content"] == "edited"
    assert messages[231]["deleted"] is True
    assert live["seq"] == 236
    assert pages[-1]["cursor"].split(".")[1:3] == ["235", "235"]


async def test_history_of_long_messages_comes_in_pages_of_256_kib(realtime: Realtime) -> None:
    await realtime.append("c1", 20, stored=True)
    cursor = await last_cursor(realtime, "c1")
    await realtime.append("c1", 20)
    for number in range(1, 41):
        await realtime.store("c1", number, rev=2, content="x" * 50_000)
    await realtime.store("c1", 30, content="x" * 300_000)
    await realtime.redis.delete(channel_stream("c1").log)
    pages: list[list[int]] = []
    async with WsClient(realtime.url) as client:
        assert (await client.join("c1", cursor))["recovered"] == "history"
        more = True
        while more:
            page = await client.until("history")
            pages.append([message["number"] for message in page["messages"]])
            more = page["more"]
    assert max(map(len, pages)) == 5
    assert [30] in pages
    numbers = [number for page in pages for number in page]
    assert numbers[:20] == list(range(21, 41))
    assert sorted(numbers[20:]) == list(range(1, 21))


async def test_history_covers_what_comes_while_it_is_read(realtime: Realtime) -> None:
    cursor = await last_cursor(realtime, "c1")
    await realtime.append("c1", 400, stored=True)
    await realtime.redis.delete(channel_stream("c1").log)
    numbers: list[int] = []
    async with WsClient(realtime.url) as client:
        await client.say("join_channel", channelId="c1", since=cursor)
        pouring = asyncio.create_task(realtime.append("c1", 20, stored=True))
        async with asyncio.timeout(30):
            while len(numbers) < 420:
                frame = await client.next()
                if frame["type"] == "history":
                    numbers += [message["number"] for message in frame["messages"]]
                elif frame["type"] == "message":
                    numbers.append(frame["data"]["number"])
        await pouring
    assert numbers == list(range(1, 421))


async def test_history_waits_for_numbers_that_mongodb_has_lost(realtime: Realtime) -> None:
    await realtime.append("c1", 2, stored=True)
    cursor = await last_cursor(realtime, "c1")
    await realtime.append("c1", 3, stored=True)
    await realtime.redis.delete(channel_stream("c1").log)
    lost = await realtime.documents.find({"channelId": "c1", "number": {"$gte": 4}}).to_list(None)
    await realtime.documents.update_many({"number": {"$gte": 4}}, {"$unset": {"number": ""}})
    async with WsClient(realtime.url) as client:
        assert (await client.join("c1", cursor))["recovered"] == "history"
        await asyncio.sleep(1)  # Their batch is on its way to coming again.
        for document in lost:
            number = {"$set": {"number": document["number"]}}
            await realtime.documents.update_one({"_id": document["_id"]}, number)
        page = await client.until("history")
    assert [message["number"] for message in page["messages"]] == [3, 4, 5]


async def test_history_goes_on_without_numbers_that_never_come_back(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.fan_out.pages.PATIENCE_SECONDS", 0.6)
    await realtime.append("c1", 2, stored=True)
    cursor = await last_cursor(realtime, "c1")
    await realtime.append("c1", 2, stored=True)
    await realtime.redis.delete(channel_stream("c1").log)
    await realtime.documents.delete_one({"channelId": "c1", "number": 4})
    async with WsClient(realtime.url) as client:
        assert (await client.join("c1", cursor))["recovered"] == "history"
        page = await client.until("history")
        await realtime.append("c1", stored=True)
        live = await client.next()
    assert [message["number"] for message in page["messages"]] == [3]
    assert live["data"]["number"] == 5


async def test_cursor_of_another_epoch_continues_from_history(realtime: Realtime) -> None:
    await realtime.append("c1", 5, stored=True)
    cursor = await last_cursor(realtime, "c1")
    await realtime.append("c1", 2, stored=True)
    await realtime.redis.flushall()
    async with WsClient(realtime.url) as client:
        assert (await client.join("c1", cursor))["recovered"] == "history"
        page = await client.until("history")
        assert [message["number"] for message in page["messages"]] == [6, 7]
        assert page["more"] is False


async def test_cursor_of_another_epoch_when_nothing_was_missed_gets_one_empty_page(
    realtime: Realtime,
) -> None:
    await realtime.append("c1", 5, stored=True)
    cursor = await last_cursor(realtime, "c1")
    await realtime.redis.flushall()
    for stream in realtime.hub.streams:
        await realtime.hub.mender.refresh(stream)
    async with WsClient(realtime.url) as client:
        assert (await client.join("c1", cursor))["recovered"] == "history"
        page = await client.until("history")
        assert (page["messages"], page["more"]) == ([], False)


async def test_cursor_above_the_position_is_not_answered_from_the_log(realtime: Realtime) -> None:
    await realtime.append("c1", 5, stored=True)
    epoch, _, _, at_ms = (await last_cursor(realtime, "c1")).split(".")
    async with WsClient(realtime.url) as client:
        joined = await client.join("c1", f"{epoch}.9.5.{at_ms}")
        assert joined["recovered"] == "history"
        ahead = await client.join("c1", f"{epoch}.9.6.{at_ms}")
        assert (ahead["recovered"], ahead["reason"]) == (False, "unknown_cursor")


@pytest.mark.parametrize("text", ["", "x", "00000000.1.1", "00000000.1.1.1.1", "0000000g.1.1.1"])
async def test_cursor_that_spells_nothing_is_unknown(realtime: Realtime, text: str) -> None:
    async with WsClient(realtime.url) as client:
        joined = await client.join("c1", text)
        assert (joined["recovered"], joined["reason"]) == (False, "unknown_cursor")
        await realtime.append("c1")
        assert (await client.next())["seq"] == 1


async def test_over_ten_thousand_messages_is_too_far(realtime: Realtime) -> None:
    await realtime.store("c1", 10_002)
    epoch, seq, number, at_ms = (await last_cursor(realtime, "c1")).split(".")
    assert number == "10002"
    async with WsClient(realtime.url) as client:
        joined = await client.join("c1", f"ffffffff.0.1.{at_ms}")
        assert (joined["recovered"], joined["reason"]) == (False, "too_far")
        assert joined["cursor"].startswith(f"{epoch}.{seq}.{number}.")
        near = await client.join("c1", f"ffffffff.0.2.{at_ms}")
        assert near["recovered"] == "history"


@pytest.mark.parametrize("at_ms", ["0", "999999999999999"])
async def test_cursor_of_an_impossible_time_is_served(realtime: Realtime, at_ms: str) -> None:
    await realtime.append("c1", 2, stored=True)
    async with WsClient(realtime.url) as client:
        joined = await client.join("c1", f"ffffffff.0.1.{at_ms}")
        assert joined["recovered"] == "history"
        assert [m["number"] for m in (await client.until("history"))["messages"]] == [2]


async def test_resume_of_a_hundred_channels_and_the_user_is_one_op(realtime: Realtime) -> None:
    channels = [f"c{index}" for index in range(100)]
    cursors = {}
    async with WsClient(realtime.url) as client:
        user_cursor = (await client.until("hello"))["userCursor"]
        for channel_id in channels:
            cursors[channel_id] = (await client.join(channel_id))["cursor"]
    for channel_id in channels:
        await realtime.append(channel_id, 2)
    await realtime.notify(user_stream("u1"), 2)
    async with WsClient(realtime.url) as client:
        await client.say("resume", id=2, user=user_cursor, channels=cursors)
        await client.until("hello")
        frames = await client.events(1 + 2 + 100 + 200)
    assert (frames[0]["type"], frames[0]["recovered"]) == ("resumed", "log")
    kinds = [frame["type"] for frame in frames]
    assert kinds.count("joined") == 100
    assert [frame["seq"] for frame in frames if frame["type"] == "notification"] == [1, 2]
    for channel_id in channels:
        own = [f["seq"] for f in frames if f.get("channelId") == channel_id and "seq" in f]
        assert own == [1, 2]


async def test_resume_of_nothing_is_acknowledged(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        await client.say("resume", id=2)
        assert await client.next() == {"type": "ack", "id": 2}


async def test_user_cursor_of_another_epoch_is_unknown(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        await client.say("resume", id=2, user="ffffffff.3.0.1")
        resumed = await client.until("resumed")
        assert (resumed["recovered"], resumed["reason"]) == (False, "unknown_cursor")


async def test_user_events_when_resumed_come_once(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        cursor = (await client.until("hello"))["userCursor"]
    await realtime.notify(user_stream("u1"), 2)
    async with WsClient(realtime.url) as client:
        await client.until("hello")
        await realtime.notify(user_stream("u1"))  # Before the client has said where it was.
        await client.say("resume", id=2, user=cursor)
        frames = await client.events(4)
    assert [frame.get("seq") for frame in frames] == [None, 1, 2, 3]


async def test_join_again_with_a_cursor_replays_from_it(realtime: Realtime) -> None:
    async with WsClient(realtime.url) as client:
        cursor = (await client.join("c1"))["cursor"]
        await realtime.append("c1", 3)
        await client.events(3)
        assert (await client.join("c1", cursor))["recovered"] == "log"
        assert [frame["seq"] for frame in await client.events(3)] == [1, 2, 3]
        await realtime.append("c1")
        assert (await client.next())["seq"] == 4


async def test_leave_in_the_middle_of_a_replay_ends_it(realtime: Realtime) -> None:
    cursor = await last_cursor(realtime, "c1")
    await realtime.append("c1", 900)
    async with WsClient(realtime.url) as client:
        await client.say("join_channel", channelId="c1", since=cursor)
        await client.say("leave_channel", id=2, channelId="c1")
        await client.until("left")
        await realtime.append("c1")
        await client.say("ping", id=3)
        assert (await client.next())["type"] == "pong"


async def test_many_who_come_back_together_share_the_reads(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = await last_cursor(realtime, "c1")
    await realtime.append("c1", 250)
    reads = 0
    read = realtime.log.read

    async def count(*arguments: object, **options: object) -> object:
        nonlocal reads
        reads += 1
        return await read(*arguments, **options)  # type: ignore[arg-type]  # passed on unseen

    monkeypatch.setattr(realtime.log, "read", count)

    async def come_back(user: str) -> list[int]:
        async with WsClient(realtime.url, user) as client:
            await client.join("c1", cursor)
            return [frame["seq"] for frame in await client.events(250)]

    began = time.monotonic()
    followed = await asyncio.gather(*(come_back(f"u{index}") for index in range(50)))
    assert all(seqs == list(range(1, 251)) for seqs in followed)
    # Three pages; once a second they are forgotten.
    assert reads <= 3 * (2 + time.monotonic() - began)
