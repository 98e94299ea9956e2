"""Threads for short calls that somebody waits for.

The way to a pool's thread and back, through two futures, their locks and whichever thread is free,
costs a fifth of an update in MongoDB: 550 µs of this process's CPU against 710 at 200 a second.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


class Threads:
    """Calls what blocks, each time in the thread that was used last: it is still in the caches.

    There are as many as there ever were calls at the same time. They end with the process, and no
    stop waits for them.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[SimpleQueue[Callable[[], None]]] = []

    async def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return what `function` returns, or raise what it raises.

        It goes on when its caller is cancelled.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        calls = self._idle.pop() if self._idle else self._start()

        def run() -> None:
            tell: Callable[[Any], None]
            told: Any
            try:
                tell, told = answer.set_result, function(*arguments)
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                tell, told = answer.set_exception, error
            with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(pass_on, tell, told)

        def pass_on(tell: Callable[[Any], None], told: Any) -> None:
            self._idle.append(calls)
            if not answer.done():  # Else its caller has gone.
                tell(told)

        calls.put(run)
        return await answer

    def _start(self) -> SimpleQueue[Callable[[], None]]:
        calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=_run, args=[calls], name=self._name, daemon=True).start()
        return calls


def _run(calls: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        calls.get()()
