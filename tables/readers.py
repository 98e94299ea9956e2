"""How gateways read the projections of the tables. Knows nothing of Faust."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from redis.asyncio import Redis

from app.keys import newest_number, notification_count, read_states

_KEYS_A_TRIP: Final = 1000


@dataclass(frozen=True, slots=True)
class ReadChannel:
    """How far a member has `read` a channel, whose newest message is `number`.

    `mentions` counts the unread messages that name the member, up to 100.
    """

    channel_id: str
    read: int
    mentions: int
    number: int

    @property
    def unread(self) -> int:
        """Messages that the member has not read."""
        return max(0, self.number - self.read)


async def read_numbers(redis: Redis, channel_ids: Sequence[str]) -> list[int | None]:
    """Return each channel's newest message number, in one round trip; None: not known."""
    if not channel_ids:
        return []
    found = await redis.mget([newest_number(channel_id) for channel_id in channel_ids])
    return [None if value is None else int(value.split(None, 1)[0]) for value in found]


async def read_notification_count(redis: Redis, user_id: str) -> int:
    """Return how many notifications a user has not read."""
    return (await read_notification_counts(redis, [user_id]))[0]


async def read_notification_counts(redis: Redis, user_ids: Sequence[str]) -> list[int]:
    """Return how many notifications each user has not read, in one round trip."""
    found = await redis.mget([notification_count(user_id) for user_id in user_ids])
    return [0 if value is None else int(value.split(None, 1)[0]) for value in found]


async def read_channels(redis: Redis, user_id: str) -> list[ReadChannel]:
    """Return how far a user has read the channels that they are a member of, by channel id."""
    return (await read_channels_of(redis, [user_id]))[0]


async def read_channels_of(redis: Redis, user_ids: Sequence[str]) -> list[list[ReadChannel]]:
    """Return the same of many users, in few round trips."""
    pipeline = redis.pipeline(transaction=False)
    for user_id in user_ids:
        pipeline.hgetall(read_states(user_id))
    found: list[dict[bytes, bytes]] = await pipeline.execute()
    states = [
        {
            channel_id.decode(): state
            for channel_id, value in sorted(hash_.items())
            if (state := _parse(value)) is not None
        }
        for hash_ in found
    ]
    channel_ids = sorted({channel_id for user in states for channel_id in user})
    newest: dict[str, int | None] = {}
    for start in range(0, len(channel_ids), _KEYS_A_TRIP):
        some = channel_ids[start : start + _KEYS_A_TRIP]
        newest |= zip(some, await read_numbers(redis, some), strict=True)
    return [
        [
            ReadChannel(channel_id, read, mentions, max(newest[channel_id] or 0, read))
            for channel_id, (read, mentions) in user.items()
        ]
        for user in states
    ]


async def read_receipts(redis: Redis, channel_id: str, user_ids: Sequence[str]) -> list[int | None]:
    """Return how far each user has read a channel, in one round trip; None: no member."""
    pipeline = redis.pipeline(transaction=False)
    for user_id in user_ids:
        pipeline.hget(read_states(user_id), channel_id)
    states = [_parse(value) for value in await pipeline.execute()]
    return [None if state is None else state[0] for state in states]


def _parse(value: bytes | None) -> tuple[int, int] | None:
    """The number read and the count of mentions; None: no member."""
    content = b"" if value is None else value.split(b" ", 1)[0]
    if not content.startswith(b"["):
        return None
    read, mentions = orjson.loads(content)
    return read, len(mentions)
