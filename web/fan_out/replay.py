"""Brings a client from its cursor to where a stream's followers are, and lets it in there.

Pulled: a page goes out when the client has taken most of the one before, and streams follow one
another. A page was asked for, so it does not count against the outbox. The client becomes a
follower in the very turn of the event loop in which it has all that they have.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import orjson

from app.outages import Outage
from web.fan_out.connection import UNKNOWN_ERROR, Connection
from web.fan_out.frames import Batch
from web.fan_out.hub import Hub
from web.fan_out.resume import Missed, Start

TAKE_SECONDS: Final = 60.0
"""A client that does not take a page in so long, 35 kbit/s at the most, does not keep up."""

_PAUSE_SECONDS: Final = 0.25


def follow(hub: Hub, connection: Connection, starts: Iterable[Start]) -> None:
    """Let a client in where it has all that followers have; replay the rest in the background."""
    waiting = connection.replays
    for start in starts:
        stream, position = start.stream, start.cursor.position
        # An older replay of it ends here: the client begins anew.
        waiting.pop(stream, None)
        is_there = (position.epoch, position.seq) == (stream.epoch, stream.seq)
        if is_there and start.missed is None:
            hub.attach(stream, connection)
        else:
            waiting[stream] = Replay(hub, connection, start)
            stream.replaying[connection] = None
            connection.begin_replay(stream, start.cursor)
    if waiting and not connection.is_replaying:
        connection.is_replaying = True
        hub.run(_replay_all(hub, connection))


async def _replay_all(hub: Hub, connection: Connection) -> None:
    try:
        await _replay_each(connection)
    except TimeoutError:
        hub.drop(connection)
    except ConnectionError:
        pass  # The client is gone.
    except Exception:
        # The client would wait for ever; when it comes back, it begins anew.
        connection.shut(UNKNOWN_ERROR)
        raise
    finally:
        connection.is_replaying = False


async def _replay_each(connection: Connection) -> None:
    waiting = connection.replays
    while waiting and not connection.is_closed:
        stream, replay = next(iter(waiting.items()))
        try:
            is_done = await replay.step()
        except Outage:
            # Redis or MongoDB went away meanwhile: the client waits for the rest.
            await asyncio.sleep(_PAUSE_SECONDS)
            continue
        if is_done and waiting.get(stream) is replay:
            del waiting[stream]
        # Its page is written in this turn's flush: only then is there something to wait for.
        await asyncio.sleep(0)
        async with asyncio.timeout(TAKE_SECONDS):
            await connection.drain()
        connection.allowance_bytes = 0


class Replay:
    """One client's way to one stream's followers."""

    __slots__ = (
        "_after",
        "_changed",
        "_connection",
        "_epoch",
        "_hub",
        "_missed",
        "_seq",
        "_stream",
    )

    def __init__(self, hub: Hub, connection: Connection, start: Start) -> None:
        position = start.cursor.position if start.missed is None else start.missed.target
        self._hub = hub
        self._connection = connection
        self._stream = start.stream
        self._epoch = position.epoch
        self._seq = position.seq
        self._missed = start.missed
        self._after = 0 if start.missed is None else start.missed.after
        self._changed = 0

    async def step(self) -> bool:
        """Send the next page; return whether there is nothing more to do.

        Raises:
            Outage: Redis or MongoDB does not answer; nothing was sent.
        """
        if self._missed is not None:
            await self._send_history(self._missed)
            return False
        return await self._send_log()

    @property
    def _is_wanted(self) -> bool:
        """Whether the client has not left, or begun anew, while something was awaited."""
        connection = self._connection
        return not connection.is_closed and connection.replays.get(self._stream) is self

    async def _send_log(self) -> bool:
        stream = self._stream
        page = None
        if stream.epoch == self._epoch and stream.seq > self._seq:
            page = await self._hub.pages.read(stream.key, self._epoch, self._seq)
        if not self._is_wanted:
            return True
        # Nothing is awaited from here on: where followers are does not change.
        if page is not None and stream.epoch == self._epoch:
            batch = page.first(stream.seq - self._seq)
            self._seq += len(batch)
            self._deliver(batch)
        elif stream.epoch != self._epoch or stream.seq != self._seq:
            self._deliver(Batch([self._hub.feed.resync_payload(stream)]))
            self._epoch, self._seq = stream.epoch, stream.seq
        if self._seq != stream.seq:
            return False
        self._hub.attach(stream, self._connection)
        return True

    async def _send_history(self, missed: Missed) -> None:
        channel_id, target = self._stream.key.id, missed.target
        if self._after < target.number:
            page = await self._hub.history.between(channel_id, target, self._after)
            self._after = page.reached
        else:
            page = await self._hub.history.find(target, missed.changed[self._changed :])
            self._changed += page.reached
        if not self._is_wanted:
            return
        more = self._after < target.number or self._changed < len(missed.changed)
        fields: dict[str, Any] = {"type": "history", "channelId": channel_id}
        if not more:
            self._missed = None
            fields["cursor"] = target.cursor(self._hub.feed.current_ms)
        fields["messages"] = [orjson.Fragment(message) for message in page.messages]
        fields["more"] = more
        payload = orjson.dumps(fields)
        if more:
            self._connection.send(payload)
            self._connection.allowance_bytes = len(payload)
        else:
            self._deliver(Batch([payload]))

    def _deliver(self, batch: Batch) -> None:
        self._connection.allowance_bytes = sum(map(len, batch.payloads))
        self._connection.deliver(self._stream, batch)
