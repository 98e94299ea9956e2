"""What both processes of the Python reference do: a message's place in Redis, and readiness."""

import os
from typing import Any, Final

from aiohttp import web

TOPIC: Final = "python-messages"
DATABASE: Final = "python_peer"
CACHE_LENGTH: Final = 100
CACHE_SECONDS: Final = 3600


def redis_url() -> str:
    """Where Redis is."""
    return f"redis://{os.environ['REDIS_HOST']}:{os.environ['REDIS_PORT']}"


async def serve(application: web.Application) -> None:
    """Serve on the port that this process was given, and answer `GET /readyz` from now on."""

    async def say_ready(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    application.router.add_get("/readyz", say_ready)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"]), backlog=4096).start()


async def keep(redis: Any, channel: str, message: str) -> None:
    """Put a message in front of its channel's list of the newest."""
    key = f"python:messages:{channel}"
    async with redis.pipeline() as pipeline:
        pipeline.lpush(key, message).ltrim(key, 0, CACHE_LENGTH - 1).expire(key, CACHE_SECONDS)
        await pipeline.execute()
