"""Clients of a gateway that keep what they were sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

Frame = dict[str, Any]


class Listener:
    """One connection's frames, in the order they came."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.last_event_id = ""
        self._changed = asyncio.Event()

    def add(self, frame: Frame) -> None:
        """Keep a frame."""
        self.frames.append(frame)
        self._changed.set()

    def of_type(self, *types: str) -> list[Frame]:
        """The frames of some types."""
        return [frame for frame in self.frames if frame["type"] in types]

    @property
    def contents(self) -> list[str]:
        """The contents of the messages that came, in order."""
        return [frame["data"]["content"] for frame in self.of_type("message")]

    async def until(self, condition: Callable[["Listener"], bool], seconds: float = 45) -> None:
        """Wait until `condition` holds.

        Raises:
            TimeoutError: it does not; with the last frames.
        """
        try:
            async with asyncio.timeout(seconds):
                while not condition(self):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"after {len(self.frames)} frames: {self.frames[-5:]}") from None

    async def until_type(self, frame_type: str, count: int = 1, seconds: float = 45) -> Frame:
        """Wait for the `count`-th frame of a type, and return it."""
        await self.until(lambda listener: len(listener.of_type(frame_type)) >= count, seconds)
        return self.of_type(frame_type)[count - 1]


class WebSocket(Listener):
    """A WebSocket connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__()
        self.socket = socket

    async def send(self, op: str, **fields: Any) -> None:
        """Send an op."""
        await self.socket.send_str(orjson.dumps({"op": op, **fields}).decode())

    async def join(self, channel_id: str, **fields: Any) -> Frame:
        """Join a channel; return `joined`."""
        count = len(self.of_type("joined")) + 1
        await self.send("join_channel", id=count, channelId=channel_id, **fields)
        return await self.until_type("joined", count)

    async def read(self) -> None:
        """Keep frames until the connection ends."""
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.add(orjson.loads(message.data))


@asynccontextmanager
async def websocket(
    url: str, user: str = "watcher", *, is_back: bool = False
) -> AsyncIterator[WebSocket]:
    """Open a WebSocket as `user`, and wait for its `hello`. Who is not back goes live at once."""
    parameters = {"userId": user, "userName": user.title()}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/ws", params=parameters, max_msg_size=0) as socket,
    ):
        client = WebSocket(socket)
        reading = asyncio.create_task(client.read())
        try:
            await client.until_type("hello")
            if not is_back:
                await client.send("ping")
            yield client
        finally:
            reading.cancel()


@asynccontextmanager
async def event_source(
    url: str, *channel_ids: str, last_event_id: str = "", user: str = "watcher"
) -> AsyncIterator[Listener]:
    """Open an event stream as a browser's EventSource does, and wait for its last `joined`."""
    parameters = {"channels": ",".join(channel_ids), "userId": user, "userName": user.title()}
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"{url}/api/events", params=parameters, headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        listener = Listener()
        reading = asyncio.create_task(_read_events(response, listener))
        try:
            await listener.until_type("joined", len(channel_ids))
            yield listener
        finally:
            reading.cancel()


async def _read_events(response: aiohttp.ClientResponse, listener: Listener) -> None:
    data = ""
    async for raw in response.content:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("id:"):
            listener.last_event_id = line[3:].strip()
        elif line.startswith("data:"):
            data = line[5:].strip()
        elif not line and data:
            listener.add(orjson.loads(data))
            data = ""
