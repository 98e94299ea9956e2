"""Calls that come one by one and are made many at a time: one is under way while the next gathers.

Nobody waits for company: alone, a call goes out in the next turn of the event loop. Under load the
groups grow by themselves, as long as the call before takes; or as long as the pause that is kept
between calls where what costs is the call, and not the item.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Gathering(Generic[Item, Answer]):
    """Asks `ask_all` for up to `most` items at a time; it answers them in their order.

    A call begins `pause_seconds` after the one before, or later; at once behind a full one.
    An item is never put to a call that has begun already: what is read is as new as its caller.
    """

    def __init__(
        self,
        ask_all: Callable[[list[Item]], Awaitable[Sequence[Answer]]],
        most: int,
        pause_seconds: float = 0.0,
    ) -> None:
        self._ask_all = ask_all
        self._most = most
        self._pause_seconds = pause_seconds
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Answer:
        """Return the answer to an item; raises what the call for its group did."""
        return await self._add(item)

    async def ask_each(self, items: Iterable[Item]) -> list[Answer]:
        """Return the answers to many items, in their order."""
        return await asyncio.gather(*[self._add(item) for item in items])

    def _add(self, item: Item) -> "asyncio.Future[Answer]":
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_waiting())
        return answer

    async def _ask_waiting(self) -> None:
        try:
            while group := self._next_group():
                until = asyncio.get_running_loop().time() + self._pause_seconds
                await self._ask_group(group)
                left = until - asyncio.get_running_loop().time()
                if left > 0 and len(group) < self._most:
                    await asyncio.sleep(left)
        finally:
            self._asking = None
            # Only a cancelled task leaves any behind: the process ends.
            for _, answer in self._waiting:
                answer.cancel()
            self._waiting.clear()

    def _next_group(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        wanted = [waiting for waiting in self._waiting if not waiting[1].done()]
        self._waiting = wanted[self._most :]
        return wanted[: self._most]

    async def _ask_group(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._ask_all([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - each caller raises it
            for _, waiting in group:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        except BaseException:
            for _, waiting in group:
                waiting.cancel()
            raise
        for (_, waiting), answer in zip(group, answers, strict=True):
            if not waiting.done():  # Its caller may have gone.
                waiting.set_result(answer)
