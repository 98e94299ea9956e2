"""A gateway's realtime side alone, on real Redis and MongoDB: no Kafka, events appended by hand."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
import orjson
from aiohttp import web
from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis as RedisClient

from app.archive.channels import Channels
from app.archive.history import History
from app.archive.members import Members
from app.archive.messages import Messages
from app.archive.notifications import Notifications
from app.archive.reactions import Reactions
from app.clients import Database, open_redis
from app.keys import StreamKey, channel_stream
from app.publisher import Publisher
from app.settings import Settings
from app.stream_log.log import Append, Entry, Source, StreamLog
from app.topics import Topic
from web.active_users import ActiveUsers
from web.deps import Gateway
from web.entries import Entries
from web.fan_out.hub import Hub
from web.keys import GATEWAY
from web.message_cache import MessageCache
from web.middlewares import answer_problems
from web.presence import Presence
from web.transports.door import Entrance, create_runner
from web.transports.sse import events
from web.transports.ws import websocket
from web.waiting import WaitingCounts

SOURCE = Source("messages", 0, "aaaaaaaa")


class _NoKafka:
    """Kafka is away: nothing is acknowledged."""

    async def publish_unstored(
        self, _: Topic, records: Iterable[tuple[str, bytes]], __: str
    ) -> list[bool]:
        return [False for _ in records]


class Realtime:
    """A served gateway, and the means to append to its streams."""

    def __init__(self, settings: Settings, database: Database, redis: RedisClient) -> None:
        self.messages = Messages(database)
        self.documents = database["messages"]
        self.redis = redis
        self.log = StreamLog(redis, self._floor)
        self.writer = StreamLog(redis, self._floor)
        self.hub = Hub(settings, self.log, History(database))
        channels, members = Channels(database), Members(database)
        publisher = cast(Publisher, _NoKafka())
        self.gateway = Gateway(
            id="g1",
            settings=settings,
            messages=self.messages,
            channels=channels,
            members=members,
            reactions=Reactions(database),
            notifications=Notifications(database),
            cache=cast(MessageCache, None),
            publisher=publisher,
            log=self.log,
            redis=redis,
            hub=self.hub,
            # Not started: who is here is told to nobody.
            presence=Presence(cast(AIOKafkaProducer, None), redis, "g1"),
            entries=Entries(channels, members, publisher),
            active_users=ActiveUsers(redis, self.hub),
            waiting=WaitingCounts(redis),
        )
        self.url = ""
        self.entrance: Entrance
        self._offsets = 0
        self.numbers: dict[str, int] = {}

    async def _floor(self, stream: StreamKey) -> int:
        return await self.messages.highest_number(stream.id) if stream.kind == "channel" else 0

    async def append(self, channel_id: str, count: int = 1, *, stored: bool = False) -> None:
        """Append so many new messages to a channel; `stored`: as documents, too."""
        first = self.numbers.get(channel_id, 0) + 1
        self.numbers[channel_id] = first + count - 1
        entries = []
        for number in range(first, first + count):
            if stored:
                await self.store(channel_id, number)
            self._offsets += 1
            data = orjson.dumps({"id": f"{channel_id}-{number}", "rev": 1, "number": number})
            entries.append(
                Entry(self._offsets, "message", data, number, "push", f"{channel_id}-{number}", 1)
            )
        await self.write(channel_stream(channel_id), entries, first - 1)

    async def write(
        self, stream: StreamKey, entries: Sequence[Entry], floor: int | None = None
    ) -> None:
        """Append entries to any stream; their offsets are theirs to choose."""
        await self.writer.append(SOURCE, [Append(stream, entries, floor)])

    async def notify(self, stream: StreamKey, count: int = 1) -> None:
        """Append so many events to a user's stream."""
        for _ in range(count):
            self._offsets += 1
            await self.write(stream, [Entry(self._offsets, "notification", b'{"id":"n"}')])

    async def store(self, channel_id: str, number: int, **fields: Any) -> None:
        """Store a numbered message's document."""
        now = datetime.now(UTC)
        await self.documents.replace_one(
            {"_id": f"{channel_id}-{number}"},
            {
                "channelId": channel_id,
                "number": number,
                "rev": 1,
                "senderId": "u1",
                "senderName": "Ann",
                "content": "x",
                "createdAt": now,
                "changedAt": now,
                **fields,
            },
            upsert=True,
        )


@asynccontextmanager
async def serve(
    settings: Settings, database: Database, redis: RedisClient | None = None
) -> AsyncIterator[Realtime]:
    """Serve a gateway on a free port of 127.0.0.1."""
    client = redis or open_redis(settings)
    realtime = Realtime(settings, database, client)
    application = web.Application(middlewares=[answer_problems])
    application[GATEWAY] = realtime.gateway
    application.router.add_get("/ws", websocket)
    application.router.add_get("/api/events", events)
    runner = create_runner(application, 1)
    await realtime.hub.start()
    await runner.setup()
    realtime.entrance = Entrance(realtime.gateway, runner)
    port = await realtime.entrance.open("127.0.0.1", 0)
    realtime.url = f"http://127.0.0.1:{port}"
    try:
        yield realtime
    finally:
        realtime.entrance.close()
        await realtime.hub.drain()
        await runner.cleanup()
        await realtime.gateway.entries.stop()
        await realtime.hub.stop()
        await realtime.log.close()
        await realtime.writer.close()
        if redis is None:
            await client.aclose()


class WsClient:
    """A WebSocket client that keeps what it is sent."""

    def __init__(self, url: str, user: str = "u1") -> None:
        self._url = f"{url}/ws?userId={user}&userName={user}"
        self._session = aiohttp.ClientSession()
        self.socket: aiohttp.ClientWebSocketResponse

    async def __aenter__(self) -> Self:
        self.socket = await self._session.ws_connect(self._url, compress=0, max_msg_size=0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.socket.close()
        await self._session.close()

    async def say(self, op: str, **fields: Any) -> None:
        """Send an op."""
        await self.socket.send_str(orjson.dumps({"op": op, **fields}).decode())

    async def next(self, timeout_seconds: float = 30) -> dict[str, Any]:
        """The next frame."""
        message = await asyncio.wait_for(self.socket.receive(), timeout_seconds)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"{message.type.name} {message.data}")
        frame: dict[str, Any] = orjson.loads(message.data)
        return frame

    async def until(self, kind: str, timeout_seconds: float = 30) -> dict[str, Any]:
        """The next frame of a type; what comes before it is left out."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                frame = await self.next(timeout_seconds)
                if frame["type"] == kind:
                    return frame

    async def events(self, count: int, timeout_seconds: float = 30) -> list[dict[str, Any]]:
        """The next so many frames."""
        return [await self.next(timeout_seconds) for _ in range(count)]

    async def closed(self, timeout_seconds: float = 30) -> int | None:
        """Read on to the close frame and return its code."""
        async with asyncio.timeout(timeout_seconds):
            while (await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.socket.close_code

    async def join(self, channel_id: str, since: str | None = None) -> dict[str, Any]:
        """Join a channel and return the answer."""
        given = {} if since is None else {"since": since}
        await self.say("join_channel", id=1, channelId=channel_id, **given)
        while True:
            frame = await self.next()
            if frame["type"] in ("joined", "error"):
                return frame


class SseClient:
    """An EventSource that keeps what it is sent, and its last event id."""

    def __init__(
        self, url: str, channels: str, user: str = "u1", last_event_id: str = "", **query: str
    ) -> None:
        self._url = f"{url}/api/events"
        self._query = {"channels": channels, "userId": user, **query}
        self._headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        self._session = aiohttp.ClientSession()
        self.response: aiohttp.ClientResponse
        self.last_event_id = last_event_id
        self.last_id_on = ""

    async def __aenter__(self) -> Self:
        self.response = await self._session.get(
            self._url, params=self._query, headers=self._headers, timeout=aiohttp.ClientTimeout()
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.response.close()
        await self._session.close()

    async def next(self, timeout_seconds: float = 30) -> dict[str, Any]:
        """The data of the next event."""
        data, name, event_id = b"", "", None
        async with asyncio.timeout(timeout_seconds):
            while True:
                line = await self.response.content.readline()
                if not line:
                    raise ConnectionError("the stream ended")
                line = line.rstrip(b"\n")
                if line.startswith(b"data: "):
                    data = line[6:]
                elif line.startswith(b"event: "):
                    name = line[7:].decode()
                elif line.startswith(b"id: "):
                    event_id = line[4:].decode()
                elif not line and data:
                    break
        if event_id is not None:
            self.last_event_id, self.last_id_on = event_id, name
        frame: dict[str, Any] = orjson.loads(data)
        assert frame["type"] == name
        return frame

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of a type; what comes before it is left out."""
        while True:
            frame = await self.next()
            if frame["type"] == kind:
                return frame

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The next so many events."""
        return [await self.next() for _ in range(count)]
