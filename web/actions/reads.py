"""What a user can do about what they have not read: see it, and mark it as read."""

from collections.abc import Sequence
from typing import Final

from app.announcements import encode_read
from app.clients import MONGODB_SECONDS
from app.errors import Unavailable
from app.outages import answering
from app.topics import MESSAGES
from tables.readers import ReadChannel, read_channels, read_numbers
from web.deps import Gateway
from web.identity import User

REDIS_SECONDS: Final = 1.0


async def mark_read(
    gateway: Gateway, user: User, channel_id: str, number: int | None, *, traceparent: str
) -> None:
    """Mark a channel as read up to a message's number; None: up to the newest known here.

    Raises:
        Unavailable: Kafka has not acknowledged it, or MongoDB does not say whether there is such
            a number; repeat it.
    """
    newest = await _known_number(gateway, channel_id)
    if newest is None or (number is not None and number > newest):
        # Redis that came back with older data is behind until the agent writes it anew.
        newest = max(newest or 0, await _highest_number(gateway, channel_id))
    # What is beyond the newest would mark messages that nobody has written yet.
    number = newest if number is None else min(number, newest)
    if number:
        await _publish(gateway, user, {channel_id: number}, traceparent)


async def clear_unread(gateway: Gateway, user: User, *, traceparent: str) -> None:
    """Mark every channel as read that the user has not read.

    Raises:
        Unavailable: Redis does not answer, or Kafka has not acknowledged it; repeat it.
    """
    channels = await find_unread(gateway, user.id)
    numbers = {c.channel_id: c.number for c in channels if c.unread or c.mentions}
    await _publish(gateway, user, numbers, traceparent)


async def find_unread(gateway: Gateway, user_id: str) -> Sequence[ReadChannel]:
    """Return what a user has and has not read of the channels they are a member of.

    Raises:
        Unavailable: Redis does not answer.
    """
    async with answering("redis", REDIS_SECONDS):
        return await read_channels(gateway.redis, user_id)


async def _known_number(gateway: Gateway, channel_id: str) -> int | None:
    try:
        async with answering("redis", REDIS_SECONDS):
            return (await read_numbers(gateway.redis, [channel_id]))[0]
    except Unavailable:
        return None


async def _highest_number(gateway: Gateway, channel_id: str) -> int:
    async with answering("mongodb", MONGODB_SECONDS):
        return await gateway.messages.highest_number(channel_id)


async def _publish(gateway: Gateway, user: User, numbers: dict[str, int], traceparent: str) -> None:
    records = [
        (channel_id, encode_read(channel_id, user.id, number))
        for channel_id, number in numbers.items()
    ]
    if not all(await gateway.publisher.publish_unstored(MESSAGES, records, traceparent)):
        raise Unavailable("kafka")
