"""A proxy before Redis that can drop what is published, as an overrun output buffer does."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from dev.ports import free_port

_MESSAGE: Final = b"*3\r\n$7\r\nmessage\r\n"
_READ_BYTES: Final = 256 * 1024


class RedisProxy:
    """Passes everything between clients and the Redis at `target_port`, but `is_dropped`.

    `is_dropped` is asked about each published message on its way to a subscriber (RESP2).
    """

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.is_dropped: Callable[[], bool] = lambda: False
        self.dropped_count = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Accept clients."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=_READ_BYTES
        )

    async def stop(self) -> None:
        """End every connection."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop_share(self, share: float, rng: random.Random) -> None:
        """Drop this share of what is published from now on; 0: nothing."""
        self.is_dropped = lambda: rng.random() < share

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        to_server: asyncio.StreamWriter | None = None
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
            up = asyncio.create_task(_copy(reader, to_server))
            down = asyncio.create_task(self._copy_replies(from_server, writer))
            try:
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # Redis is down, or the proxy stops: so it is for this client, and no more.
        finally:
            for end in (writer, to_server):
                if end is not None:
                    end.transport.abort()

    async def _copy_replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        buffer = bytearray()
        with suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                buffer += data
                writer.write(self._take_replies(buffer))
                await writer.drain()

    def _take_replies(self, buffer: bytearray) -> bytes:
        """Take the complete replies out of `buffer`; return those that are passed on."""
        passed, start = bytearray(), 0
        while (end := _end_of_reply(buffer, start)) is not None:
            if buffer.startswith(_MESSAGE, start) and self.is_dropped():
                self.dropped_count += 1
            else:
                passed += buffer[start:end]
            start = end
        del buffer[:start]
        return bytes(passed)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()


def _end_of_reply(buffer: bytearray, start: int) -> int | None:
    """Where the RESP2 reply at `start` ends, None if it is not all there."""
    line_end = buffer.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, end = buffer[start : start + 1], line_end + 2
    if kind == b"$":
        length = int(buffer[start + 1 : line_end])
        end += length + 2 if length >= 0 else 0
        return end if end <= len(buffer) else None
    if kind == b"*":
        for _ in range(int(buffer[start + 1 : line_end])):
            found = _end_of_reply(buffer, end)
            if found is None:
                return None
            end = found
    return end
