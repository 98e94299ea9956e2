"""What a message does in the Python reference, and where its servers are."""

import os
from typing import Any, Final

TOPIC: Final = "python-messages"
DATABASE: Final = "python_peer"
CACHE_LENGTH: Final = 100
CACHE_SECONDS: Final = 3600


def redis_url() -> str:
    """Where Redis is."""
    return f"redis://{os.environ['REDIS_HOST']}:{os.environ['REDIS_PORT']}"


async def keep(redis: Any, channel: str, message: str) -> None:
    """Put a message in front of its channel's list of the newest."""
    key = f"python:messages:{channel}"
    async with redis.pipeline() as pipeline:
        pipeline.lpush(key, message).ltrim(key, 0, CACHE_LENGTH - 1).expire(key, CACHE_SECONDS)
        await pipeline.execute()
