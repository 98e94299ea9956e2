"""A client as it should be written: it comes back, resumes, reloads when it is told to, goes on.

It takes what it is sent to its views, which judge it. It never gives up and never asks for more
than docs/protocol.md offers.
"""

import asyncio
import json
import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import aiohttp
import orjson

from tests.chaos.tally import Tally
from tests.chaos.view import Frame, View
from web.fan_out.cursor import CombinedCursor

CONNECT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 60.0
"""The gateway speaks every 25 s: who hears nothing for so long connects again."""
_SMALL_BUFFER: Final = 8192
_LOGGED: Final = frozenset(
    ("message", "message_updated", "message_deleted", "reaction_added", "reaction_removed",
     "notification", "notifications_read", "channel_read", "member_joined", "member_left")
)  # fmt: skip


class Follower:
    """One user's client, over WebSocket, server-sent events, or now one and now the other."""

    def __init__(
        self,
        name: str,
        channels: Sequence[str],
        gateways: Sequence[str],
        tally: Tally,
        rng: random.Random,
        *,
        transports: Sequence[str] = ("ws",),
        is_slow: bool = False,
    ) -> None:
        self.name = name
        self.views = {channel: View(name, channel, tally) for channel in channels}
        self.own = View(name, "", tally)
        self.is_connected = False
        self.may_read = asyncio.Event()
        self.may_read.set()
        self._may_connect = asyncio.Event()
        self._may_connect.set()
        self._gateways = gateways
        self._tally = tally
        self._rng = rng
        self._transports = transports
        self._is_slow = is_slow
        self._last_event_id = ""
        self._connection: asyncio.Task[None] | None = None
        self._reloads: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession
        self._away_seconds = 0.0
        self._loading = {view: asyncio.Lock() for view in self.views.values()}
        for view in self.views.values():
            view.want_reload = lambda view=view: self._reload(view)  # type: ignore[misc]

    async def start(self) -> None:
        """Connect, and stay connected."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, socket_factory=_small_socket if self._is_slow else None
            )
        )
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what the views know stays."""
        tasks = [task for task in (self._running, *self._reloads) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    def interrupt(self, away_seconds: float) -> None:
        """Lose the connection, as in a tunnel, and come back after that time."""
        self._away_seconds = away_seconds
        if self._connection is not None:
            self._connection.cancel()

    async def pause(self) -> None:
        """Stay away until `go_on`."""
        self._may_connect.clear()
        self.interrupt(0)
        while self.is_connected:
            await asyncio.sleep(0.02)

    def go_on(self) -> None:
        """Come back."""
        self._may_connect.set()

    @property
    def is_complete(self) -> bool:
        """Whether it is connected and is owed nothing but what happens from now on."""
        return self.is_connected and all(view.is_complete for view in self._all_views)

    @property
    def _all_views(self) -> Sequence[View]:
        return [*self.views.values(), self.own]

    async def _run(self) -> None:
        while True:
            await self._may_connect.wait()
            transport = self._rng.choice(self._transports)
            url = self._rng.choice(self._gateways)
            follow = self._follow_ws if transport == "ws" else self._follow_sse
            self._connection = asyncio.create_task(follow(url))
            try:
                await asyncio.wait([self._connection])
            finally:
                self._connection.cancel()
            if not self._connection.cancelled():
                error = self._connection.exception()
                if error is not None and not isinstance(error, (aiohttp.ClientError, OSError)):
                    raise error
            self.is_connected = False
            for view in self._all_views:
                view.disconnect()
            away, self._away_seconds = self._away_seconds, 0.0
            await asyncio.sleep(away or 0.1 + self._rng.random() / 2)

    # WebSocket

    async def _follow_ws(self, url: str) -> None:
        who = {"userId": self.name, "userName": self.name}
        async with asyncio.timeout(CONNECT_SECONDS):
            opened = await self._session.ws_connect(
                f"{url}/ws",
                params=who,
                max_msg_size=0,
                heartbeat=None if self._is_slow else 20,
                timeout=aiohttp.ClientWSTimeout(ws_close=0.2),
            )
        async with opened as ws:
            self._tally.connections += 1
            asked: dict[int, str | None] = {}
            await self._ask(ws, asked)
            while True:
                await self.may_read.wait()
                message = await asyncio.wait_for(ws.receive(), SILENCE_SECONDS)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                frame = orjson.loads(message.data)
                if frame["type"] == "error":
                    await self._ask_again(ws, frame, asked)
                else:
                    self._take(frame)
                    self._note_cursor(frame)

    def _note_cursor(self, frame: Frame) -> None:
        if frame["type"] != "hello" and frame.get("cursor"):
            view = self._view_of(frame)
            if view.is_live:
                view.save(frame["cursor"])
                self._last_event_id = ""

    async def _ask(self, ws: aiohttp.ClientWebSocketResponse, asked: dict[int, str | None]) -> None:
        missing = {c: view.cursor for c, view in self.views.items() if not view.is_live}
        known = {c: cursor for c, cursor in missing.items() if cursor is not None}
        wants_own = not self.own.is_live and self.own.cursor is not None
        if known or wants_own:
            user = {"user": self.own.cursor} if wants_own else {}
            await self._say(ws, asked, None, op="resume", **user, channels=known)
        for channel_id in missing.keys() - known.keys():
            await self._say(ws, asked, channel_id, op="join_channel", channelId=channel_id)

    async def _say(
        self,
        ws: aiohttp.ClientWebSocketResponse,
        asked: dict[int, str | None],
        channel_id: str | None,
        **op: Any,
    ) -> None:
        op_id = len(asked)
        asked[op_id] = channel_id
        await ws.send_str(json.dumps({**op, "id": op_id}))

    async def _ask_again(
        self, ws: aiohttp.ClientWebSocketResponse, frame: Frame, asked: dict[int, str | None]
    ) -> None:
        if frame["code"] != "unavailable":
            self._tally.complain("refused", f"{self.name}: {dict(frame)}")
        await asyncio.sleep(0.5)
        channel_id = frame.get("channelId") or asked[frame["id"]]
        if channel_id is None:
            await self._ask(ws, asked)  # Nothing of a resume was done.
            return
        cursor = self.views[channel_id].cursor
        since = {} if cursor is None else {"since": cursor}
        await self._say(ws, asked, channel_id, op="join_channel", channelId=channel_id, **since)

    # Server-sent events

    async def _follow_sse(self, url: str) -> None:
        query = {"channels": ",".join(self.views), "userId": self.name, "userName": self.name}
        headers = {}
        if self._last_event_id:
            headers["Last-Event-ID"] = self._last_event_id
        else:
            query["since"] = ",".join(view.cursor or "-" for view in self.views.values())
            if self.own.cursor:
                query["userSince"] = self.own.cursor
        timeout = aiohttp.ClientTimeout(
            sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS, total=None
        )
        async with self._session.get(
            f"{url}/api/events", params=query, headers=headers, timeout=timeout
        ) as response:
            if response.status == 503:
                self._away_seconds = 0.5
                return
            if response.status != 200:
                self._tally.complain("refused", f"{self.name}: {await response.text()}")
                return
            self._tally.connections += 1
            await self._read_events(response)

    async def _read_events(self, response: aiohttp.ClientResponse) -> None:
        data, event_id, buffer = b"", "", b""
        async for chunk in response.content.iter_any():
            await self.may_read.wait()
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                if line.startswith(b"id: "):
                    event_id = line[4:].decode()
                elif line.startswith(b"data: "):
                    data = line[6:]
                elif not line and data:
                    self._take(orjson.loads(data))
                    if event_id:
                        self._note_id(event_id)
                    data, event_id = b"", ""

    def _note_id(self, event_id: str) -> None:
        self._last_event_id = event_id
        parsed = CombinedCursor.parse(event_id, list(self.views))
        if parsed is None:
            self._tally.complain("refused", f"{self.name}: no cursor: {event_id}")
            return
        cursors: Mapping[View, Any] = {
            **{self.views[channel]: cursor for channel, cursor in parsed.channels.items()},
            self.own: parsed.user,
        }
        for view, cursor in cursors.items():
            view.check_saved(cursor.position)
            view.save(cursor.position.cursor(cursor.at_ms))

    # Frames

    def _take(self, frame: Frame) -> None:
        kind, view = frame["type"], self._view_of(frame)
        if kind == "hello":
            self.is_connected = True
            # With a cursor of our own we wait for `resumed`.
            if self.own.cursor is None and frame["userCursor"]:
                self.own.begin({"cursor": frame["userCursor"]}, None)
                self.own.save(frame["userCursor"])
        elif kind in ("joined", "resumed"):
            view.begin(frame, view.cursor)
        elif kind == "resync":
            view.resync(frame)
        elif kind == "history":
            view.history(frame)
        elif kind in _LOGGED and (view.is_live or view.channel_id):
            view.event(frame)

    def _view_of(self, frame: Frame) -> View:
        channel_id = frame.get("channelId")
        return self.own if channel_id is None else self.views[channel_id]

    # Reload

    def _reload(self, view: View) -> None:
        task = asyncio.create_task(self._reload_view(view))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload_view(self, view: View) -> None:
        async with self._loading[view]:
            if not view.wants_reload:
                return
            before = view.begin_reload()
            while True:
                with suppress(aiohttp.ClientError, OSError):
                    messages = await self._load(self._rng.choice(self._gateways), view.channel_id)
                    if messages is not None:
                        break
                await asyncio.sleep(0.3)
            view.end_reload(before, messages)

    async def _load(self, url: str, channel_id: str) -> list[Frame] | None:
        messages: list[Frame] = []
        query = {"channelId": channel_id, "limit": "100"}
        while True:
            async with self._session.get(
                f"{url}/api/messages", params=query, timeout=aiohttp.ClientTimeout(CONNECT_SECONDS)
            ) as response:
                if response.status == 503:
                    return None
                if response.status != 200:
                    self._tally.complain("refused", f"{self.name}: {await response.text()}")
                    return None
                page = orjson.loads(await response.read())
            messages += page["items"]
            if page["next"] is None:
                return messages
            query["before"] = page["next"]


def _small_socket(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
    return made
