"""Invalidation of what Redis holds: it is built anew from MongoDB and the tables.

Lists of messages are deleted, and filled by their next reader. Lists of users and counts stay as
they are until the agents, asked by a record, write them anew: nobody reads that there is nothing.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from app.announcements import encode_active_users_wanted, encode_projection_wanted
from app.clients import MONGODB_SECONDS
from app.errors import Unavailable
from app.keys import channel_stream
from app.outages import answering
from app.topics import MESSAGES, USER_ACTIVITY, Topic
from web.active_users import REDIS_SECONDS
from web.deps import Gateway

_AT_ONCE: Final = 500


async def invalidate_channels(
    gateway: Gateway, channel_ids: Sequence[str], traceparent: str
) -> None:
    """Have the messages and the active users of channels read anew.

    Raises:
        Unavailable: Redis or Kafka did not take it; repeat it.
    """
    for start in range(0, len(channel_ids), _AT_ONCE):
        some = channel_ids[start : start + _AT_ONCE]
        async with answering("redis", REDIS_SECONDS):
            await gateway.redis.unlink(*(channel_stream(channel_id).name for channel_id in some))
        wanted = [(channel_id, encode_active_users_wanted(channel_id)) for channel_id in some]
        await _publish(gateway, USER_ACTIVITY, wanted, traceparent)


async def invalidate_server(gateway: Gateway, server_id: str, traceparent: str) -> None:
    """Have all channels of a server read anew.

    Raises:
        Unavailable: MongoDB, Redis or Kafka did not take it; repeat it.
    """
    async with answering("mongodb", MONGODB_SECONDS):
        channel_ids = await gateway.channels.of_server(server_id)
    await invalidate_channels(gateway, channel_ids, traceparent)


async def invalidate_user(gateway: Gateway, user_id: str, traceparent: str) -> None:
    """Have a user's counts read anew, in every channel that they are a member of.

    Raises:
        Unavailable: MongoDB or Kafka did not take it; repeat it.
    """
    async with answering("mongodb", MONGODB_SECONDS):
        channel_ids = await gateway.members.channels_of(user_id)
    for start in range(0, len(channel_ids), _AT_ONCE):
        wanted = [
            (channel_id, encode_projection_wanted(channel_id, user_id))
            for channel_id in channel_ids[start : start + _AT_ONCE]
        ]
        await _publish(gateway, MESSAGES, wanted, traceparent)


async def _publish(
    gateway: Gateway, topic: Topic, records: Iterable[tuple[str, bytes]], traceparent: str
) -> None:
    publish = gateway.publisher.publish
    published = await asyncio.gather(
        *(publish(topic, key, value, traceparent) for key, value in records)
    )
    if not all(published):
        raise Unavailable("kafka")
