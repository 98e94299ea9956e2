"""`/api/users/{id}/unread`: what a user has not read, and clearing it."""

import orjson
from aiohttp import web

from web.actions import reads
from web.keys import GATEWAY
from web.rest.bodies import answer, owner_of, traceparent_in


async def get(request: web.Request) -> web.Response:
    """Read the counts of unread messages and mentions, by channel and in all."""
    user = owner_of(request)
    channels = await reads.find_unread(request.app[GATEWAY], user.id)
    return answer(
        orjson.dumps(
            {
                "total": sum(channel.unread for channel in channels),
                "mentions": sum(channel.mentions for channel in channels),
                "channels": [
                    {
                        "channelId": channel.channel_id,
                        "unread": channel.unread,
                        "mentions": channel.mentions,
                        "read": channel.read,
                        "number": channel.number,
                    }
                    for channel in channels
                ],
            }
        )
    )


async def clear(request: web.Request) -> web.Response:
    """Mark all of a user's channels as read."""
    user = owner_of(request)
    await reads.clear_unread(request.app[GATEWAY], user, traceparent=traceparent_in(request))
    return web.Response(status=204)
