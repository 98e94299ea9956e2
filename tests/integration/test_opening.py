"""Streams that a hub opens together, on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis as RedisClient

from app.archive.indexes import ensure_indexes
from app.clients import Database
from app.errors import Unavailable
from app.keys import StreamKey, channel_stream, user_stream
from app.settings import load
from app.stream_log.cursor import Position
from tests.support.realtime import Realtime, serve
from web.fan_out import opening


@pytest.fixture
async def realtime(redis: RedisClient, database: Database) -> AsyncIterator[Realtime]:
    await ensure_indexes(database)
    async with serve(load(), database, redis) as realtime:
        yield realtime


async def test_streams_that_are_asked_for_at_once_are_opened_together(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    positions = realtime.log.positions

    async def count_positions(streams: Sequence[StreamKey]) -> list[Position | None]:
        trips.append(len(streams))
        return await positions(streams)

    monkeypatch.setattr(realtime.log, "positions", count_positions)
    keys = [channel_stream(f"c{number}") for number in range(30)]
    streams = await asyncio.gather(*(realtime.hub.join(key) for key in [*keys, *keys]))
    assert trips == [30]
    assert all(one is other for one, other in zip(streams[:30], streams[30:], strict=True))
    assert {stream.joined for stream in streams} == {2}
    await realtime.hub.join(channel_stream("x"))
    await realtime.append("x")
    await realtime.append("c7", 2)
    async with asyncio.timeout(30):
        while streams[7].seq < 2:
            await asyncio.sleep(0.01)


async def test_new_channel_while_mongodb_is_slow_holds_up_no_other_stream(
    realtime: Realtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "OPEN_SECONDS", 2)
    begin = realtime.log.begin
    is_slow = True

    async def begin_late(streams: Sequence[StreamKey]) -> list[Position]:
        if is_slow:
            await asyncio.sleep(60)
        return await begin(streams)

    await realtime.append("known")
    monkeypatch.setattr(realtime.log, "begin", begin_late)
    new = asyncio.create_task(realtime.hub.join(channel_stream("new")))
    own = await realtime.hub.join(user_stream("u"))
    known = await realtime.hub.join(channel_stream("known"))
    assert not new.done()
    assert (own.seq, known.seq) == (0, 1)
    with pytest.raises(Unavailable):
        await new
    assert [stream.key.id for stream in realtime.hub.streams] == ["u", "known"]
    is_slow = False
    assert (await realtime.hub.join(channel_stream("new"))).seq == 0


async def test_join_that_is_cancelled_takes_nothing_from_the_others(realtime: Realtime) -> None:
    key = channel_stream("c")
    given_up = asyncio.create_task(realtime.hub.join(key))
    other = asyncio.create_task(realtime.hub.join(key))
    await asyncio.sleep(0)
    given_up.cancel()
    stream = await other
    assert given_up.cancelled()
    assert stream.joined == 1
