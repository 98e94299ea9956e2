"""The stream log on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import orjson
import pytest
from redis.asyncio import Redis as RedisClient
from redis.exceptions import ResponseError

from app.keys import StreamKey, channel_stream
from app.stream_log.cursor import Cursor, Position, position_of
from app.stream_log.log import Append, Entry, Source, StreamLog
from app.stream_log.scripts import Call, Script
from dev.servers import Redis

SOURCE = Source("messages", 0, "aaaaaaaa")
STREAM = channel_stream("c1")


def message(number: int, rev: int = 1, content: str = "x") -> bytes:
    return orjson.dumps({"id": f"m{number}", "rev": rev, "number": number, "content": content})


def created(offset: int, number: int) -> Entry:
    return Entry(offset, "message", message(number), number, "push", f"m{number}", 1)


def updated(offset: int, number: int, rev: int) -> Entry:
    data = message(number, rev, "edited")
    return Entry(offset, "message_updated", data, None, "replace", f"m{number}", rev)


async def no_numbers(_: StreamKey) -> int:
    return 0


@pytest.fixture
async def log(redis: RedisClient) -> AsyncIterator[StreamLog]:
    log = StreamLog(redis, no_numbers)
    yield log
    await log.close()


async def cached(redis: RedisClient) -> list[dict[str, object]]:
    return [orjson.loads(item) for item in await redis.lrange("messages:c1", 0, -1)]


async def test_append_numbers_caches_and_publishes(log: StreamLog, redis: RedisClient) -> None:
    subscriber = redis.pubsub()
    await subscriber.subscribe(STREAM.live)
    assert await subscriber.get_message(timeout=1)  # The subscription's own confirmation.
    await log.append(SOURCE, [Append(STREAM, [created(0, 1), created(1, 2)], 0)])
    published = await subscriber.get_message(ignore_subscribe_messages=True, timeout=2)
    await subscriber.aclose()  # type: ignore[no-untyped-call]
    position = await log.position(STREAM)
    frames = await log.read(STREAM, position.epoch, 0)
    assert frames is not None
    header, _, rest = published["data"].partition(b"\n")
    assert header == f"{position.epoch} 1".encode()
    assert rest.split(b"\n") == frames
    assert [orjson.loads(frame)["seq"] for frame in frames] == [1, 2]
    assert position_of(frames[1]) == Position(position.epoch, 2, 2) == position
    assert Cursor.parse(orjson.loads(frames[1])["cursor"]) is not None
    assert [item["number"] for item in await cached(redis)] == [2, 1]


async def test_append_when_repeated_has_no_effect(log: StreamLog, redis: RedisClient) -> None:
    batch = [Append(STREAM, [created(0, 1), created(1, 2)], 0)]
    await log.append(SOURCE, batch)
    before = await log.position(STREAM)
    await log.append(SOURCE, batch)
    await log.append(SOURCE, [Append(STREAM, [created(1, 2), created(2, 3)], 1)])
    after = await log.position(STREAM)
    assert (before.seq, after.seq) == (2, 3)
    assert [item["number"] for item in await cached(redis)] == [3, 2, 1]


async def test_append_when_topic_was_made_anew_is_not_guarded(log: StreamLog) -> None:
    await log.append(SOURCE, [Append(STREAM, [created(7, 1)], 0)])
    anew = Source("messages", 0, "bbbbbbbb")
    await log.append(anew, [Append(STREAM, [created(0, 2)], 1)])
    assert (await log.position(STREAM)).seq == 2


async def test_change_replaces_only_by_higher_rev(log: StreamLog, redis: RedisClient) -> None:
    await log.append(SOURCE, [Append(STREAM, [created(0, 1), updated(1, 1, 3)], 0)])
    await log.append(SOURCE, [Append(STREAM, [updated(2, 1, 2)], None)])
    assert [item["rev"] for item in await cached(redis)] == [3]
    gone = Entry(3, "message_deleted", message(1, 4), None, "remove", "m1", 4)
    await log.append(SOURCE, [Append(STREAM, [gone], None)])
    assert await cached(redis) == []


async def test_append_when_a_key_has_a_wrong_type_loses_nothing(
    log: StreamLog, redis: RedisClient
) -> None:
    await redis.set(STREAM.log, "x")
    await redis.set(STREAM.name, "x")
    await log.append(SOURCE, [Append(STREAM, [created(0, 1)], 0)])
    assert len(await cached(redis)) == 1
    position = await log.position(STREAM)
    assert len(await log.read(STREAM, position.epoch, 0) or []) == 1


async def test_read_when_log_cannot_say_is_none(log: StreamLog, redis: RedisClient) -> None:
    await log.append(SOURCE, [Append(STREAM, [created(0, 1), created(1, 2)], 0)])
    epoch = (await log.position(STREAM)).epoch
    assert await log.read(STREAM, epoch, 2) == []
    assert await log.read(STREAM, epoch, 3) is None
    assert await log.read(STREAM, "00000000", 0) is None
    await redis.xtrim(STREAM.log, maxlen=1, approximate=False)
    assert await log.read(STREAM, epoch, 0) is None


async def test_new_epoch_without_floor_asks_for_it(redis: RedisClient) -> None:
    asked: list[str] = []

    async def highest(stream: StreamKey) -> int:
        asked.append(stream.id)
        return 41

    log = StreamLog(redis, highest)
    await log.append(SOURCE, [Append(STREAM, [updated(0, 5, 2)], None)])
    assert asked == ["c1"]
    assert (await log.position(STREAM)).number == 41
    await log.append(SOURCE, [Append(STREAM, [created(1, 41), created(2, 42)], 40)])
    assert (await log.position(STREAM)).seq == 2  # 41 is covered by the epoch's start.
    await log.close()


async def test_epoch_changes_when_redis_is_another_run(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisClient
) -> None:
    with Redis(tmp_path_factory.mktemp("redis")) as server:
        client = RedisClient(host="127.0.0.1", port=server.port)
        log = StreamLog(client, no_numbers)
        await log.append(SOURCE, [Append(STREAM, [created(0, 1)], 0)])
        before = await log.position(STREAM)
        server.kill()
        server.start()
        with pytest.raises(Exception, match=r"(?i)connection|closed"):
            await log.position(STREAM)
        after = await log.position(STREAM)
        assert after.epoch != before.epoch
        assert after.seq == 0
        assert await log.read(STREAM, before.epoch, 0) is None
        assert await client.exists(STREAM.name) == 0
        await log.close()
        await client.aclose()


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Redis, Redis]]:
    """Two servers that can follow one another."""
    with (
        Redis(tmp_path_factory.mktemp("redis")) as one,
        Redis(tmp_path_factory.mktemp("redis")) as other,
    ):
        yield one, other


async def follow(replica: RedisClient, port: int) -> None:
    # Redis does not end while it writes its first file after that.
    await replica.config_set("appendonly", "no")
    await replica.replicaof("127.0.0.1", str(port))
    async with asyncio.timeout(20):
        while (await replica.info("replication"))["master_link_status"] != "up":
            await asyncio.sleep(0.02)


async def test_epoch_changes_when_redis_lost_writes_as_a_replica_in_between(
    pair: tuple[Redis, Redis],
) -> None:
    one, other = (RedisClient(host="127.0.0.1", port=server.port) for server in pair)
    log = StreamLog(one, no_numbers)
    await follow(other, pair[0].port)
    await log.append(SOURCE, [Append(STREAM, [created(0, 1)], 0)])
    await one.wait(1, 5000)
    await other.replicaof("NO", "ONE")
    await log.append(SOURCE, [Append(STREAM, [created(1, 2)], None)])
    seen = await log.position(STREAM)
    await follow(one, pair[1].port)
    await one.replicaof("NO", "ONE")
    # Over the connection that was there all the time.
    after = await log.position(STREAM)
    assert after.epoch != seen.epoch
    assert after == await log.position(STREAM)
    assert await log.read(STREAM, seen.epoch, seen.seq) is None
    await log.close()
    await one.aclose()
    await other.aclose()


async def test_epoch_changes_once_when_a_replica_is_promoted(pair: tuple[Redis, Redis]) -> None:
    one, other = (RedisClient(host="127.0.0.1", port=server.port) for server in pair)
    await follow(other, pair[0].port)
    log, promoted = StreamLog(one, no_numbers), StreamLog(other, no_numbers)
    await log.append(SOURCE, [Append(STREAM, [created(0, 1)], 0)])
    before = await log.position(STREAM)
    await one.wait(1, 5000)
    with pytest.raises(ResponseError, match=r"(?i)read ?only"):
        await promoted.position(STREAM)
    await other.replicaof("NO", "ONE")
    after = await promoted.position(STREAM)
    assert after.epoch != before.epoch
    await promoted.append(SOURCE, [Append(STREAM, [created(1, 2)], None)])
    await follow(one, pair[1].port)
    assert (await promoted.position(STREAM)).epoch == after.epoch
    for each in (log, promoted):
        await each.close()
    await one.aclose()
    await other.aclose()


async def test_what_goes_ahead_of_an_append_does_so_on_a_redis_that_knows_no_script(
    redis: RedisClient,
) -> None:
    await redis.script_flush()
    look = Script("redis.call('SET', KEYS[1], redis.call('EXISTS', KEYS[2]))")
    log = StreamLog(redis, no_numbers)
    ahead: Call = (look, ("seen", STREAM.log), ())
    await log.append(SOURCE, [Append(STREAM, [created(0, 1)], 0)], [ahead])
    assert await redis.get("seen") == b"0"
    assert (await log.position(STREAM)).seq == 1
    await log.close()


async def test_fill_only_at_the_position_it_was_read_at(log: StreamLog, redis: RedisClient) -> None:
    await log.append(SOURCE, [Append(STREAM, [created(0, 1)], 0)])
    await redis.delete(STREAM.name)
    stale = await log.position(STREAM)
    await log.append(SOURCE, [Append(STREAM, [updated(1, 1, 2)], None)])
    assert not await log.fill(STREAM, stale, [message(1)])
    assert await log.fill(STREAM, await log.position(STREAM), [message(1, 2)])
    assert not await log.fill(STREAM, await log.position(STREAM), [message(1, 2)])
    assert [item["rev"] for item in await cached(redis)] == [2]


def reacted(offset: int, number: int, rev: int = 2) -> Entry:
    return Entry(
        offset,
        "reaction_added",
        b'{"emoji":"x"}',
        change="replace",
        message_id=f"m{number}",
        rev=rev,
        message=message(number, rev),
        needs=number,
    )


REACTIONS = Source("reactions", 0, "cccccccc")


async def test_append_stops_at_what_needs_a_number_not_reached(
    log: StreamLog, redis: RedisClient
) -> None:
    await log.append(SOURCE, [Append(STREAM, [created(0, 1)], 0)])
    batch = [Append(STREAM, [reacted(0, 1), reacted(1, 2), reacted(2, 1, 3)], None)]
    assert await log.append(REACTIONS, batch) == {STREAM: 1}
    assert (await log.position(STREAM)).seq == 2
    assert [item["rev"] for item in await cached(redis)] == [2]
    await log.append(SOURCE, [Append(STREAM, [created(1, 2)], 1)])
    # The same again: what was done is skipped, what was refused is not.
    assert await log.append(REACTIONS, batch) == {}
    assert (await log.position(STREAM)).seq == 5
    assert [(item["number"], item["rev"]) for item in await cached(redis)] == [(2, 2), (1, 3)]
    assert await log.append(REACTIONS, batch) == {}
    assert (await log.position(STREAM)).seq == 5


async def test_append_that_begins_an_epoch_needs_no_more_than_its_floor(redis: RedisClient) -> None:
    async def highest(_: StreamKey) -> int:
        return 7

    log = StreamLog(redis, highest)
    assert await log.append(REACTIONS, [Append(STREAM, [reacted(0, 8)], None)]) == {STREAM: 0}
    assert await log.append(REACTIONS, [Append(STREAM, [reacted(1, 7)], None)]) == {}
    await log.close()
