"""Server-sent events: the same events, one way, for a browser's own `EventSource`.

aiohttp-sse does headers and lifetime. Its `send` awaits the client: events take the outbox.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from aiohttp import web
from aiohttp.http import HttpVersion11
from aiohttp_sse import EventSourceResponse

from app.errors import FieldError, RequestError
from app.keys import StreamKey, channel_stream, user_stream
from app.stream_log.cursor import Cursor
from web.active_users import ActiveList
from web.fan_out.connection import Connection
from web.fan_out.cursor import CombinedCursor, checksum_of, pack, pack_position
from web.fan_out.frames import SSE_COMMENT, Batch, encode, sse_event
from web.fan_out.hub import Hub
from web.fan_out.replay import follow
from web.fan_out.resume import Start, open_stream
from web.fan_out.stream import Stream
from web.identity import User, user_of
from web.keys import GATEWAY
from web.rest.bodies import read_query
from web.schemas import EventsQuery
from web.transports.hello import MOST_CHANNELS, hello
from web.waiting import Counts

RETRY: Final = b"retry: 2000\n\n"

Since = Cursor | str | None
"""Where a stream's client was: parsed, as text that may be none, or nothing given."""


class _Response(EventSourceResponse):
    """The headers and the lifetime of an event stream."""

    async def _ping(self) -> None:
        # What ends this task ends the stream; the hub's sweep sends the comments.
        await asyncio.get_running_loop().create_future()


class SseConnection(Connection):
    """A client's event stream, and the `id:` that says where it is in all its streams."""

    __slots__ = (
        "_checksum",
        "_floors_ms",
        "_hub",
        "_is_chunked",
        "_places",
        "_response",
        "_writer",
    )

    transport_name = "sse"

    def __init__(self, request: web.Request, response: _Response, hub: Hub, user: User) -> None:
        super().__init__(request.transport, hub.flusher, user)
        self._hub = hub
        self._response = response
        self._writer = request.writer
        self._is_chunked = request.version >= HttpVersion11
        self._checksum = b""
        self._places: dict[Stream, bytes] = {}
        # Streams being replayed, and when their clients were up to date.
        self._floors_ms: dict[Stream, int] = {}

    def place(self, starts: Iterable[Start]) -> None:
        """Set where the client is: its channels, and last its user."""
        *channels, own = starts
        self._checksum = checksum_of(start.stream.key.id for start in channels)
        ordered = sorted(channels, key=lambda start: start.stream.key.id)
        self._places = {
            start.stream: pack_position(start.cursor.position) for start in (*ordered, own)
        }

    @property
    def event_id(self) -> bytes:
        """The cursor of all streams, as they are at the event that it stands on."""
        at_ms = self._hub.feed.current_ms
        if self._floors_ms:
            at_ms = min(at_ms, *self._floors_ms.values())
        return pack(self._checksum, self._places.values(), at_ms)

    def deliver(self, stream: Stream, batch: Batch) -> None:
        parts = []
        for place, event in batch.sse:
            if place:
                self._places[stream] = place
                parts.append(b"id: %b\n" % self.event_id)
            parts.append(event)
        self.put(b"".join(parts), len(batch.payloads))

    def send(self, payload: bytes) -> None:
        self.put(sse_event(payload), 1)

    def send_placed(self, payload: bytes) -> None:
        """Queue something that carries where the client is now."""
        self.put(b"id: %b\n%b" % (self.event_id, sse_event(payload)), 1)

    def ping(self) -> None:
        # A client of this transport never answers; TCP tells when it is gone.
        self.is_alive = True
        self.put(SSE_COMMENT, 0)

    def write(self, data: bytes) -> None:
        super().write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked and data else data)

    def shut(self, code: int, reason: str = "") -> None:
        if not self.is_closed:
            self.finish(b"")
            if self._response.is_connected():
                self._response.stop_streaming()

    async def drain(self) -> None:
        await self._writer.drain()

    def begin_replay(self, stream: Stream, cursor: Cursor) -> None:
        self._floors_ms[stream] = cursor.at_ms

    def end_replay(self, stream: Stream) -> None:
        self._floors_ms.pop(stream, None)


async def events(request: web.Request) -> web.StreamResponse:
    """Follow channels and one's own events, as a stream that a browser resumes by itself."""
    gateway = request.app[GATEWAY]
    hub = gateway.hub
    user = user_of(request)
    query = _query_of(request)
    wanted = _wanted(query, request.headers.get("Last-Event-ID"), user)
    response = _Response()
    connection = SseConnection(request, response, hub, user)
    starts = await _open_all(hub, wanted)
    try:
        counts = await gateway.waiting.of_user(user.id)
        # Last: what is told of presence from now on is told to this client.
        active = await gateway.active_users.of_streams([start.stream for start in starts[:-1]])
    except BaseException:
        for start in starts:
            hub.release(start.stream)
        raise
    for start in starts[:-1]:
        connection.streams[start.stream.key.id] = start.stream
    connection.own = starts[-1].stream
    hub.connect(connection)
    for channel_id in query.channels:
        gateway.presence.join(connection, channel_id)
    try:
        await response.prepare(request)
        # aiohttp sends its headers with the first bytes of the body.
        await response.write(RETRY)
        _begin(hub, connection, starts, active, counts, is_resumed=wanted[-1][1] is not None)
        gateway.entries.add(user.id, query.channels)
        await response.wait()
    finally:
        connection.shut(0)
        hub.disconnect(connection)
    return response


def _begin(
    hub: Hub,
    connection: SseConnection,
    starts: list[Start],
    active: list[ActiveList],
    counts: Counts,
    *,
    is_resumed: bool,
) -> None:
    *channels, own = starts
    connection.place(starts)
    connection.send(hello(connection, own, counts))
    if is_resumed:
        connection.send(encode("resumed", **own.fields))
    last = len(channels) - 1
    # Before the last `joined`, whose id must not claim what is still to be replayed.
    follow(hub, connection, starts)
    for index, (start, users) in enumerate(zip(channels, active, strict=True)):
        channel_id = start.stream.key.id
        payload = encode("joined", channelId=channel_id, **start.fields, **users.fields)
        (connection.send_placed if index == last else connection.send)(payload)


def _query_of(request: web.Request) -> EventsQuery:
    query = read_query(request, EventsQuery)
    if len(query.channels) > MOST_CHANNELS:
        raise RequestError("too_many_channels", f"at most {MOST_CHANNELS} channels")
    if query.since is not None and len(query.since) != len(query.channels):
        message = "must have a cursor, or -, for each channel"
        raise RequestError("invalid", f"since: {message}", [FieldError("since", message)])
    return query


def _wanted(
    query: EventsQuery, last_event_id: str | None, user: User
) -> list[tuple[StreamKey, Since]]:
    """The streams of a request, the user's own last, and where its client was in each."""
    keys = [*map(channel_stream, query.channels), user_stream(user.id)]
    if last_event_id is not None:
        combined = CombinedCursor.parse(last_event_id, query.channels)
        if combined is None:
            return [(key, "") for key in keys]
        cursors = [*(combined.channels[channel_id] for channel_id in query.channels), combined.user]
        return list(zip(keys, cursors, strict=True))
    given = query.since or ["-"] * len(query.channels)
    sinces = [None if text == "-" else text for text in given]
    return list(zip(keys, [*sinces, query.user_since], strict=True))


async def _open_all(hub: Hub, wanted: list[tuple[StreamKey, Since]]) -> list[Start]:
    opened = await asyncio.gather(
        *(open_stream(hub, key, since) for key, since in wanted), return_exceptions=True
    )
    starts = [result for result in opened if isinstance(result, Start)]
    for result in opened:
        if isinstance(result, BaseException):
            for start in starts:
                hub.release(start.stream)
            raise result
    return starts
