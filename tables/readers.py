"""How gateways read the projections of the tables. Knows nothing of Faust."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from redis.asyncio import Redis

from app.keys import newest_number, notification_count, read_states

_KEYS_A_COMMAND: Final = 1000


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
    return [_parse_number(value) for value in found]


async def read_notification_count(redis: Redis, user_id: str) -> int:
    """Return how many notifications a user has not read."""
    return (await read_notification_counts(redis, [user_id]))[0]


async def read_notification_counts(redis: Redis, user_ids: Sequence[str]) -> list[int]:
    """Return how many notifications each user has not read, in one round trip."""
    found = await redis.mget([notification_count(user_id) for user_id in user_ids])
    return [_parse_number(value) or 0 for value in found]


async def read_channels(redis: Redis, user_id: str) -> list[ReadChannel]:
    """Return how far a user has read the channels that they are a member of, by channel id."""
    return (await read_channels_of(redis, [user_id]))[0]


async def read_channels_of(redis: Redis, user_ids: Sequence[str]) -> list[list[ReadChannel]]:
    """Return the same of many users, in two round trips.

    Numbers are read before states, which are written before them (`projection_calls`), and a
    mention above the number does not count yet. So what is said holds for the moment when that
    number was the newest; whatever comes later, a client counts from its events, once.
    """
    pipeline = redis.pipeline(transaction=False)
    for user_id in user_ids:
        pipeline.hkeys(read_states(user_id))
    channels_of = [sorted(map(bytes.decode, fields)) for fields in await pipeline.execute()]
    channel_ids = sorted({channel_id for of_user in channels_of for channel_id in of_user})
    starts = range(0, len(channel_ids), _KEYS_A_COMMAND)
    groups = [channel_ids[start : start + _KEYS_A_COMMAND] for start in starts]
    pipeline = redis.pipeline(transaction=False)
    for group in groups:
        pipeline.mget(map(newest_number, group))
    for user_id, of_user in zip(user_ids, channels_of, strict=True):
        if of_user:
            pipeline.hmget(read_states(user_id), of_user)
    answers = iter(await pipeline.execute())
    newest = {
        channel_id: _parse_number(value) or 0
        for group in groups
        for channel_id, value in zip(group, next(answers), strict=True)
    }
    channels = []
    for of_user in channels_of:
        states = map(_parse_state, next(answers) if of_user else ())
        channels.append(
            [
                _read_channel(channel_id, newest[channel_id], *state)
                for channel_id, state in zip(of_user, states, strict=True)
                if state is not None
            ]
        )
    return channels


def _read_channel(channel_id: str, newest: int, read: int, mentions: Sequence[int]) -> ReadChannel:
    number = max(newest, read)
    counted = sum(mention <= number for mention in mentions)
    return ReadChannel(channel_id, read, counted, number)


async def read_receipts(redis: Redis, channel_id: str, user_ids: Sequence[str]) -> list[int | None]:
    """Return how far each user has read a channel, in one round trip; None: no member."""
    pipeline = redis.pipeline(transaction=False)
    for user_id in user_ids:
        pipeline.hget(read_states(user_id), channel_id)
    states = [_parse_state(value) for value in await pipeline.execute()]
    return [None if state is None else state[0] for state in states]


def _parse_number(value: bytes | str | None) -> int | None:
    return None if value is None else int(value.split(None, 1)[0])


def _parse_state(value: bytes | None) -> tuple[int, list[int]] | None:
    """The number read and the mentions above it; None: no member."""
    content = b"" if value is None else value.split(b" ", 1)[0]
    if not content.startswith(b"["):
        return None
    read, mentions = orjson.loads(content)
    return read, mentions
