"""Calls in threads of their own: their answers, and which thread takes the next one."""

import asyncio
import threading

import pytest

from app.archive.threads import Threads


def fail() -> None:
    raise KeyError("why")


async def test_call_returns_and_raises_what_its_function_does() -> None:
    threads = Threads("test")
    assert await threads.call(divmod, 7, 2) == (3, 1)
    with pytest.raises(KeyError, match="why"):
        await threads.call(fail)


async def test_calls_one_after_the_other_are_made_in_one_thread_beside_the_loop() -> None:
    threads = Threads("test")
    idents = {await threads.call(threading.get_ident) for _ in range(3)}
    assert len(idents) == 1
    assert threading.get_ident() not in idents


async def test_calls_at_the_same_time_do_not_wait_for_each_other() -> None:
    threads, meeting = Threads("test"), threading.Barrier(3)
    waits = [threads.call(meeting.wait, 30) for _ in range(3)]
    assert sorted(await asyncio.gather(*waits)) == [0, 1, 2]


async def test_thread_whose_caller_has_gone_takes_the_next_call_when_it_is_done() -> None:
    threads, may_end = Threads("test"), threading.Event()
    first = await threads.call(threading.get_ident)
    leaving = asyncio.create_task(threads.call(may_end.wait, 30))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await threads.call(threading.get_ident) != first
    may_end.set()
    async with asyncio.timeout(30):
        while len(threads._idle) < 2:
            await asyncio.sleep(0.001)
    assert await threads.call(threading.get_ident) == first
