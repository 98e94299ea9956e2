"""Calls that are made many at a time."""

import asyncio
from collections.abc import Sequence

import pytest

from app.gathering import Gathering
from tests.support.clock import Clock


class Calls:
    """Answers with ten times the item, when it may."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_answer = asyncio.Event()

    async def ask_all(self, items: Sequence[int]) -> list[int]:
        self.groups.append(list(items))
        await self.may_answer.wait()
        if 13 in items:
            raise LookupError
        return [10 * item for item in items]


async def test_items_gather_while_a_call_is_under_way() -> None:
    calls = Calls()
    gathering = Gathering(calls.ask_all, 3)
    first = asyncio.create_task(gathering.ask(1))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(gathering.ask(item)) for item in (2, 3, 4, 5)]
    await asyncio.sleep(0.01)
    assert calls.groups == [[1]]
    calls.may_answer.set()
    assert [await first, *[await task for task in rest]] == [10, 20, 30, 40, 50]
    assert calls.groups == [[1], [2, 3, 4], [5]]
    assert await gathering.ask_each([6, 7]) == [60, 70]


async def test_failure_is_raised_to_its_group_alone() -> None:
    calls = Calls()
    calls.may_answer.set()
    gathering = Gathering(calls.ask_all, 2)
    answers = await asyncio.gather(
        *(gathering.ask(item) for item in (12, 13, 14)), return_exceptions=True
    )
    assert [isinstance(answer, LookupError) for answer in answers] == [True, True, False]
    with pytest.raises(LookupError):
        await gathering.ask_each([13, 15])


async def test_item_whose_caller_is_gone_is_not_asked_for() -> None:
    calls = Calls()
    gathering = Gathering(calls.ask_all, 9)
    first = asyncio.create_task(gathering.ask(1))
    await asyncio.sleep(0.01)
    gone, stays = [asyncio.create_task(gathering.ask(item)) for item in (2, 3)]
    await asyncio.sleep(0.01)
    gone.cancel()
    calls.may_answer.set()
    assert [await first, await stays] == [10, 30]
    assert calls.groups == [[1], [3]]


async def test_items_gather_in_the_pause_between_calls_but_not_before_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, calls = Clock(monkeypatch), Calls()
    calls.may_answer.set()
    gathering = Gathering(calls.ask_all, 3, pause_seconds=0.2)
    asking = [asyncio.create_task(gathering.ask(1))]
    await clock.advance()
    assert calls.groups == [[1]]
    for item in (2, 3):
        asking.append(asyncio.create_task(gathering.ask(item)))
        await clock.advance(0.09)
    assert calls.groups == [[1]]
    await clock.advance(0.03)
    assert calls.groups == [[1], [2, 3]]
    assert [await each for each in asking] == [10, 20, 30]


async def test_full_call_is_followed_at_once() -> None:
    calls = Calls()
    calls.may_answer.set()
    gathering = Gathering(calls.ask_all, 2, pause_seconds=60)
    async with asyncio.timeout(30):
        assert await gathering.ask_each([1, 2, 3]) == [10, 20, 30]
    assert calls.groups == [[1, 2], [3]]
