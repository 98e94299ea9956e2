"""The connection that every script of the stream log travels over.

One connection a process: when it is opened the server's `run_id` is read before any script, and
every script sent over it carries that id. A connection that broke is never reused, so no script can
reach another run of the server under the id of an earlier one.
"""

import asyncio
import hashlib
from collections.abc import Sequence
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
    """A script of this folder, with the prelude `stream.lua` before it."""

    def __init__(self, name: str) -> None:
        self.text = f"{_PRELUDE}\n{(_FOLDER / name).read_text()}"
        # EVALSHA names a script by its SHA-1; nothing here is a secret.
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


Call = tuple[Script, Sequence[str], Sequence[bytes | str | int]]
"""A script, its keys, and its arguments without the first: the server's id is put before them."""


class ScriptConnection:
    """Runs scripts, many in one round trip, over one connection of its own."""

    def __init__(self, redis: Redis) -> None:
        self._pool = redis.connection_pool
        self._connection: AbstractConnection | None = None
        self._server = ""
        self._lock = asyncio.Lock()

    @property
    def server(self) -> str:
        """The `run_id` of the server this connection reached, or an empty string."""
        return self._server if self._connection is not None else ""

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Run `calls` in order in one round trip and return their answers.

        Raises:
            redis.RedisError: the connection broke (what was done is unknown: repeat it), or a
                script failed.
        """
        async with self._lock:
            connection = await self._open()
            try:
                answers = await self._send(connection, calls)
                for index, answer in enumerate(answers):
                    if isinstance(answer, NoScriptError):
                        text = calls[index][0].text
                        await connection.send_command("SCRIPT", "LOAD", text)
                        await connection.read_response()
                        answers[index : index + 1] = await self._send(connection, [calls[index]])
            except BaseException:
                # Also when cancelled: answers that nobody read would be taken for the next ones.
                await self.close()
                raise
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _send(self, connection: AbstractConnection, calls: Sequence[Call]) -> list[Any]:
        if not connection.is_connected:
            # redis-py would connect again by itself, to whatever server is there now.
            raise RedisConnectionError("the connection is lost")
        commands = [
            ("EVALSHA", script.sha, len(keys), *keys, self._server, *arguments)
            for script, keys, arguments in calls
        ]
        await connection.send_packed_command(connection.pack_commands(commands))
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
        await self.close()
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("INFO", "server")
            self._server = _run_id(await connection.read_response())
            for script in (APPEND, POSITION, READ, FILL):
                await connection.send_command("SCRIPT", "LOAD", script.text)
                await connection.read_response()
        except BaseException:
            await connection.disconnect()
            raise
        self._connection = connection
        return connection

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError):
                await connection.disconnect()


def _run_id(info: Any) -> str:
    text = info if isinstance(info, str) else bytes(info).decode()
    for line in text.splitlines():
        if line.startswith("run_id:"):
            return line.removeprefix("run_id:").strip()
    raise RedisConnectionError("INFO names no run_id")


APPEND: Final = Script("append.lua")
POSITION: Final = Script("position.lua")
READ: Final = Script("read.lua")
FILL: Final = Script("fill.lua")
