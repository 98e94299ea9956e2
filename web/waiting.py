"""What waits for a user, as `hello` says it: unread notifications, messages and mentions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from app.errors import Unavailable
from app.gathering import Gathering
from app.outages import answering
from tables.readers import read_waiting
from web.crowds import PAUSE_SECONDS

REDIS_SECONDS: Final = 1.0
_USERS_A_TRIP: Final = 100
"""Redis does nothing else meanwhile: of users of a hundred channels each, 5 ms."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What waits for a user."""

    notifications: int = 0
    unread: int = 0
    mentions: int = 0


class WaitingCounts:
    """Reads the counts, of all who come at once in the same round trips."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._users: Gathering[str, Counts] = Gathering(self._read, _USERS_A_TRIP, PAUSE_SECONDS)

    async def of_user(self, user_id: str) -> Counts:
        """Return what waits for a user; nothing if Redis is away: then the client reloads later.

        To be called when the place in the user's own stream is known: every event behind that place
        says what the count is after it.
        """
        try:
            return await self._users.ask(user_id)
        except Unavailable:
            return Counts()

    async def _read(self, user_ids: Sequence[str]) -> list[Counts]:
        async with answering("redis", REDIS_SECONDS):
            waiting = await read_waiting(self._redis, user_ids)
        return [
            Counts(
                user.notifications,
                sum(channel.unread for channel in user.channels),
                sum(channel.mentions for channel in user.channels),
            )
            for user in waiting
        ]
