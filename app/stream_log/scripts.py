"""The connection that every script of the stream log travels over.

One connection a process: when it is opened the server's `run_id` is read before any script, and
every script sent over it carries that id. A connection that broke is never reused, so no script can
reach another run of the server under the id of an earlier one.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError

_FOLDER: Final = Path(__file__).parent
_PRELUDE: Final = (_FOLDER / "stream.lua").read_text()


class Script:
    """A script, and the name that Redis knows it by."""

    def __init__(self, text: str) -> None:
        self.text = text
        # EVALSHA names a script by its SHA-1; nothing here is a secret.
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


Call = tuple[Script, Sequence[str], Sequence[bytes | str | int]]
"""A script, its keys, and its arguments without the first: the `run_id` is put before them."""

Waiting = tuple[Sequence[Call], asyncio.Future[list[Any]]]
"""One caller's calls, and where their answers go."""


CALLS_IN_ONE_TRIP: Final = 256
"""So that one caller's thousands of calls do not hold everybody's answers in memory at once."""


class ScriptConnection:
    """Runs scripts over one connection of its own; all who wait share the next round trip."""

    def __init__(self, redis: Redis) -> None:
        self._pool = redis.connection_pool
        self._connection: AbstractConnection | None = None
        self._run_id = ""
        self._loaded: set[Script] = set()
        self._waiting: deque[Waiting] = deque()
        self._running: asyncio.Task[None] | None = None

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Run `calls` in order in one round trip and return their answers.

        Raises:
            redis.RedisError: the connection broke (what was done is unknown: repeat it), or a
                script failed.
        """
        answers: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((calls, answers))
        if self._running is None:
            self._running = asyncio.create_task(self._run_waiting())
        return await answers

    async def _run_waiting(self) -> None:
        try:
            while self._waiting:
                trip = self._next_trip()
                try:
                    answers = await self._make([call for calls, _ in trip for call in calls])
                except (RedisError, OSError, TimeoutError) as error:
                    await self.disconnect()
                    _fail(trip, error)
                except BaseException:
                    # Answers that nobody read would be taken for the next ones.
                    await self.disconnect()
                    _fail(trip, RedisConnectionError("the connection was closed"))
                    raise
                else:
                    _settle(trip, answers)
        finally:
            self._running = None

    def _next_trip(self) -> Sequence[Waiting]:
        trip = [self._waiting.popleft()]
        count = len(trip[0][0])
        while self._waiting and count + len(self._waiting[0][0]) <= CALLS_IN_ONE_TRIP:
            trip.append(self._waiting.popleft())
            count += len(trip[-1][0])
        return trip

    async def _make(self, calls: Sequence[Call]) -> list[Any]:
        connection = await self._open()
        answers = await self._send(connection, calls)
        for index, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                self._loaded.discard(calls[index][0])
                answers[index : index + 1] = await self._send(connection, [calls[index]])
        return answers

    async def _send(self, connection: AbstractConnection, calls: Sequence[Call]) -> list[Any]:
        if not connection.is_connected:
            # redis-py would connect again by itself, to whatever server is there now.
            raise RedisConnectionError("the connection is lost")
        # Ahead of all calls: one that came late would run behind those that follow it.
        missing = {script for script, _, _ in calls} - self._loaded
        commands: list[tuple[Any, ...]] = [("SCRIPT", "LOAD", script.text) for script in missing]
        commands += [
            ("EVALSHA", script.sha, len(keys), *keys, self._run_id, *arguments)
            for script, keys, arguments in calls
        ]
        await connection.send_packed_command(connection.pack_commands(commands))
        for _ in missing:
            await connection.read_response()
        self._loaded |= missing
        answers: list[Any] = []
        for _ in calls:
            try:
                answers.append(await connection.read_response())
            except ResponseError as error:
                answers.append(error)
        return answers

    async def _open(self) -> AbstractConnection:
        if self._connection is not None and self._connection.is_connected:
            return self._connection
        await self.disconnect()
        self._loaded.clear()
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("INFO", "server")
            self._run_id = _run_id_of(await connection.read_response())
        except BaseException:
            await connection.disconnect()
            raise
        self._connection = connection
        return connection

    async def close(self) -> None:
        """Close the connection; who still waits for an answer gets an error."""
        running = self._running
        if running is not None:
            running.cancel()
            await asyncio.wait([running])
        _fail(self._waiting, RedisConnectionError("the connection was closed"))
        self._waiting.clear()
        await self.disconnect()

    async def disconnect(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError):
                await connection.disconnect()


def _settle(trip: Sequence[Waiting], answers: Sequence[Any]) -> None:
    start = 0
    for calls, waiter in trip:
        own = list(answers[start : start + len(calls)])
        start += len(calls)
        error = next((answer for answer in own if isinstance(answer, Exception)), None)
        if waiter.done():
            continue  # Its caller was cancelled meanwhile.
        if error is None:
            waiter.set_result(own)
        else:
            waiter.set_exception(error)


def _fail(trip: Iterable[Waiting], error: Exception) -> None:
    for _, waiter in trip:
        if not waiter.done():
            waiter.set_exception(type(error)(*error.args))


def _run_id_of(info: Any) -> str:
    text = info if isinstance(info, str) else bytes(info).decode()
    for line in text.splitlines():
        if line.startswith("run_id:"):
            return line.removeprefix("run_id:").strip()
    raise RedisConnectionError("INFO names no run_id")


def _script(name: str) -> Script:
    """A script of this folder, with the prelude `stream.lua` before it."""
    return Script(f"{_PRELUDE}\n{(_FOLDER / name).read_text()}")


APPEND: Final = _script("append.lua")
POSITION: Final = _script("position.lua")
READ: Final = _script("read.lua")
FILL: Final = _script("fill.lua")
