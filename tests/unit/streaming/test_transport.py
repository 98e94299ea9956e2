"""Fetches across a rebalance: no record is dropped, none is read before those it follows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import faust
import pytest
from faust.types import TP, ConsumerMessage

from app.settings import load
from app.streaming.application import Application
from app.streaming.consumer_thread import Fetched
from app.topics import MESSAGES

SOURCE = TP("messages", 0)


def record(offset: int) -> Any:
    return ConsumerMessage("messages", 0, offset, 0.0, 0, [], b"", b"", None, tp=SOURCE)


class Fetching:
    """A consumer in the middle of a fetch, during which the flow stops."""

    def __init__(self) -> None:
        app = Application(MESSAGES, load(), partitions=1, incarnation="a", table=faust.Table)
        self.consumer = cast("Any", app.consumer)
        self.thread = self.consumer._thread
        self.handed_out: list[int] = []
        self._answer: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()

        async def fetch(*_: Any) -> Fetched:
            return await self._answer

        async def take(message: Any) -> None:
            self.handed_out += [each.offset for each in message.value]

        self.thread.fetch = fetch
        self.consumer.highwater = lambda _: 100
        self.consumer.callback = take
        self.consumer._active_partitions = {SOURCE}
        self.hand_out = asyncio.create_task(self.consumer._hand_out())

    async def answer(self, *offsets: int, seeks: int) -> None:
        """Let the fetch return records that were read after `seeks` seeks."""
        self._answer.set_result(Fetched({SOURCE: [record(o) for o in offsets]}, seeks))
        await asyncio.sleep(0.01)

    async def resume(self) -> list[int]:
        """Let the flow go on; return what is handed out."""
        self.consumer.resume_flow()
        await self.hand_out
        return self.handed_out


@pytest.fixture
async def fetching() -> AsyncIterator[Fetching]:
    fetching = Fetching()
    await asyncio.sleep(0)
    yield fetching
    fetching.hand_out.cancel()
    fetching.thread.thread_loop.close()


async def test_records_read_after_the_seek_are_kept_until_the_flow_goes_on(
    fetching: Fetching,
) -> None:
    fetching.consumer.stop_flow()
    fetching.thread.seeks = 1
    await fetching.answer(5, 6, seeks=1)
    assert fetching.handed_out == []
    assert await fetching.resume() == [5, 6]


async def test_records_read_before_the_seek_are_left_to_be_read_again(fetching: Fetching) -> None:
    fetching.consumer.stop_flow()
    await fetching.answer(5, 6, seeks=0)
    fetching.thread.seeks = 1
    assert await fetching.resume() == []


async def test_records_below_the_place_of_the_seek_are_not_handed_out_twice(
    fetching: Fetching,
) -> None:
    fetching.consumer._read_offset[SOURCE] = 6
    await fetching.answer(5, 6, 7, seeks=0)
    await fetching.hand_out
    assert fetching.handed_out == [6, 7]


async def test_wait_for_room_in_a_queue_ends_when_the_flow_stops(fetching: Fetching) -> None:
    async def wait_for_room(_: Any) -> None:
        await asyncio.Event().wait()

    fetching.consumer.callback = wait_for_room
    await fetching.answer(5, seeks=0)
    assert not fetching.hand_out.done()
    fetching.consumer.stop_flow()
    fetching.consumer.stop_flow()
    async with asyncio.timeout(30):
        await fetching.hand_out
    fetching.consumer.resume_flow()
    fetching.consumer.stop_flow()  # Nothing waits now.
