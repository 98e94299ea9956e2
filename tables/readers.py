"""How gateways read the projections of the tables. Knows nothing of Faust."""

from collections.abc import Sequence

from redis.asyncio import Redis

from app.keys import newest_number


async def read_numbers(redis: Redis, channel_ids: Sequence[str]) -> list[int | None]:
    """Return each channel's newest message number, in one round trip; None: not known."""
    if not channel_ids:
        return []
    found = await redis.mget([newest_number(channel_id) for channel_id in channel_ids])
    return [None if value is None else int(value.split(None, 1)[0]) for value in found]
