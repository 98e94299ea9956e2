"""What users do over REST, against real gateways."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support.waiting import until


class Chat:
    """Calls of any user to one gateway."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def call(self, method: str, path: str, user: str, **body: Any) -> tuple[int, Any]:
        """Call as `user`; return the status and the answer."""
        headers = {"X-User-Id": user, "X-User-Name": user.title()}
        address = f"{self.url}{path}"
        async with self._session.request(
            method, address, headers=headers, json=body or None
        ) as response:
            is_json = "json" in response.content_type
            return response.status, await response.json(content_type=None) if is_json else None

    async def post(self, user: str, channel_id: str, content: str = "hi", **more: Any) -> Any:
        """Send a message, which must be accepted."""
        body = {"content": content, "channelId": channel_id, **more}
        status, message = await self.call("POST", "/api/messages", user, **body)
        assert status == 201, message
        return message

    async def mark_read(self, user: str, channel_id: str, **body: Any) -> tuple[int, Any]:
        """Mark a channel as read."""
        return await self.call("POST", f"/api/channels/{channel_id}/read", user, **body)

    async def unread(self, user: str) -> dict[str, tuple[int, int, int, int]]:
        """A user's channels: unread, mentions, read, number; the sums are checked here."""
        status, counts = await self.call("GET", f"/api/users/{user}/unread", user)
        assert status == 200, counts
        channels = counts["channels"]
        assert counts["total"] == sum(channel["unread"] for channel in channels)
        assert counts["mentions"] == sum(channel["mentions"] for channel in channels)
        return {
            c["channelId"]: (c["unread"], c["mentions"], c["read"], c["number"]) for c in channels
        }

    async def unread_is(self, user: str, channel_id: str, *wanted: int) -> None:
        """Wait until a user's counts of a channel are `wanted`, as `unread` has them."""

        async def is_there() -> bool:
            return (await self.unread(user)).get(channel_id) == wanted

        await until(is_there)


@asynccontextmanager
async def chatting(url: str) -> AsyncIterator[Chat]:
    """Calls to the gateway at `url`."""
    async with aiohttp.ClientSession() as session:
        yield Chat(session, url)
