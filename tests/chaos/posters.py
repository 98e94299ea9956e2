"""People who write: numbered messages, edits, deletions, reactions, repeated until answered."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson

from tests.chaos.oracle import Accepted, Oracle

ATTEMPT_SECONDS: Final = 10.0
UNDER_WAY: Final = 60
"""Requests that one poster has open: what is beyond waits for the servers to be back."""
EMOJI: Final = ("👍", "🎉", "❤️")


class Poster:
    """One user who writes at a steady rate, to any gateway, and remembers what was answered."""

    def __init__(
        self,
        name: str,
        channels: Sequence[str],
        gateways: Sequence[str],
        oracle: Oracle,
        rng: random.Random,
        *,
        a_second: float,
    ) -> None:
        self.name = name
        self._channels = channels
        self._gateways = gateways
        self._oracle = oracle
        self._rng = rng
        self._pause_seconds = 1 / a_second
        self._own: list[Accepted] = []
        self._count = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession

    async def open(self) -> None:
        """Open the connections."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(ATTEMPT_SECONDS),
            headers={"X-User-Id": self.name, "X-User-Name": self.name},
        )

    async def close(self) -> None:
        """Give up what is under way; `drain` first."""
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._session.close()

    async def run(self) -> None:
        """Write, until cancelled."""
        while True:
            await asyncio.sleep(self._pause_seconds * self._rng.uniform(0.5, 1.5))
            if len(self._under_way) < UNDER_WAY:
                self.begin(self._act())

    def begin(self, action: Any) -> "asyncio.Task[None]":
        """Do something beside everything else."""
        task: asyncio.Task[None] = asyncio.create_task(action)
        self._under_way.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._oracle.tally.complain("refused", f"{self.name}: {error!r}")

    @property
    def is_idle(self) -> bool:
        """Whether everything was answered."""
        return not self._under_way

    async def _act(self) -> None:
        chosen = self._rng.random()
        everyone = [each for each in self._oracle.messages.values() if not each.is_deleted]
        free = [each for each in self._own[-200:] if not (each.is_busy or each.is_deleted)]
        if chosen < 0.6 or not free or not everyone:
            await self.send(self._rng.choice(self._channels))
        elif chosen < 0.75:
            await self.edit(self._rng.choice(free))
        elif chosen < 0.8:
            await self.delete(self._rng.choice(free))
        else:
            await self.react(self._rng.choice(everyone[-200:]), self._rng.choice(EMOJI))

    async def send(self, channel_id: str, padding: str = "") -> Accepted:
        """Send a message of its own number."""
        self._count += 1
        self._oracle.tally.sent += 1
        content = f"{self.name} {self._count}{padding}"
        body = {"content": content, "channelId": channel_id, "senderId": self.name,
                "senderName": self.name}  # fmt: skip
        key = {"Idempotency-Key": f"{self.name}-{self._count}"}
        answer = await self._until_answered("POST", "/api/messages", (200, 201), body, key)
        accepted = self._oracle.accept(answer)
        self._own.append(accepted)
        return accepted

    async def edit(self, message: Accepted) -> None:
        """Change an own message; one change at a time, so that it is known which was last."""
        message.is_busy = True
        content = f"{message.content} (edited)"[-3000:]
        await self._until_answered("PATCH", f"/api/messages/{message.id}", (200,),
                                   {"content": content})  # fmt: skip
        message.content, message.is_busy = content, False
        message.edits += 1
        self._oracle.tally.changes += 1

    async def delete(self, message: Accepted) -> None:
        """Delete an own message."""
        # From now on nobody is to react to it any more.
        message.is_busy = message.is_deleted = True
        await self._until_answered("DELETE", f"/api/messages/{message.id}", (200,))
        self._oracle.tally.changes += 1

    async def react(self, message: Accepted, emoji: str) -> None:
        """React to anybody's message, or take it back; not to one that is being deleted."""
        reaction = emoji, self.name
        if message.is_busy:
            return
        message.is_busy = True
        is_wanted = reaction not in message.reactions
        path = f"/api/messages/{message.id}/reactions/{quote(emoji)}"
        await self._until_answered("PUT" if is_wanted else "DELETE", path, (200,))
        if is_wanted:
            message.reactions.add(reaction)
        else:
            message.reactions.remove(reaction)
        message.is_busy = False
        message.reaction_changes += 1
        self._oracle.tally.changes += 1

    async def mark_read(self, channel_id: str, number: int) -> None:
        """Mark a channel as read."""
        path = f"/api/channels/{channel_id}/read"
        await self._until_answered("POST", path, (200, 204), {"number": number})
        key = self.name, channel_id
        self._oracle.marked[key] = max(number, self._oracle.marked.get(key, 0))

    async def unread(self) -> list[Any]:
        """Ask what is unread."""
        answer = await self._until_answered("GET", f"/api/users/{self.name}/unread", (200,))
        return list(answer["channels"])

    async def _until_answered(
        self,
        method: str,
        path: str,
        wanted: Sequence[int],
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Repeat a request as long as its outcome is unknown; return its answer."""
        pause = 0.2
        while True:
            url = self._rng.choice(self._gateways)
            try:
                async with self._session.request(
                    method, f"{url}{path}", json=body, headers=headers
                ) as response:
                    text = await response.read()
                    status = response.status
            except (aiohttp.ClientError, OSError):
                status, text = 0, b""
            if status in wanted:
                return orjson.loads(text) if text else None
            if status not in (0, 503):
                raise AssertionError(f"{method} {path}: {status} {text[:200]!r}")
            self._oracle.tally.retried += 1
            await asyncio.sleep(pause * self._rng.uniform(0.5, 1))
            pause = min(2 * pause, 1.0)
