"""How gateways read the projections of the tables. Knows nothing of Faust."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from redis.asyncio import Redis

from app.keys import newest_number, notification_count, read_states

_READ_WAITING: Final = (Path(__file__).parent / "waiting.lua").read_text()


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


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a user: unread notifications, and the channels they are a member of."""

    notifications: int
    channels: list[ReadChannel]


async def read_numbers(redis: Redis, channel_ids: Sequence[str]) -> list[int | None]:
    """Return each channel's newest message number, in one round trip; None: not known."""
    if not channel_ids:
        return []
    found = await redis.mget([newest_number(channel_id) for channel_id in channel_ids])
    return [_parse_number(value) for value in found]


async def read_notification_count(redis: Redis, user_id: str) -> int:
    """Return how many notifications a user has not read."""
    return _parse_number(await redis.get(notification_count(user_id))) or 0


async def read_channels(redis: Redis, user_id: str) -> list[ReadChannel]:
    """Return how far a user has read the channels that they are a member of, by channel id."""
    return (await read_waiting(redis, [user_id]))[0].channels


async def read_waiting(redis: Redis, user_ids: Sequence[str]) -> list[Waiting]:
    """Return what waits for each user, in one round trip.

    All of it is of one moment, but the number of a channel is written behind its states
    (`projection_calls`), so a mention above the number does not count yet. What is said holds for
    the moment when that number was the newest; whatever comes later, a client counts from its
    events, once.
    """
    keys = [key for user in user_ids for key in (notification_count(user), read_states(user))]
    answers = await redis.register_script(_READ_WAITING)(keys=keys, args=[newest_number("")])
    return [Waiting(_parse_number(count) or 0, _parse_channels(c)) for count, c in answers]


def _parse_channels(answers: Sequence[bytes | None]) -> list[ReadChannel]:
    channels = []
    for at in range(0, len(answers), 3):
        channel_id, value, number = answers[at : at + 3]
        state = _parse_state(value)
        if channel_id is not None and state is not None:
            channels.append(_read_channel(channel_id.decode(), _parse_number(number) or 0, *state))
    return sorted(channels, key=lambda channel: channel.channel_id)


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
