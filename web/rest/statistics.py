"""`/api/channels/{id}/stats`: a channel in numbers, over all gateways."""

import orjson
from aiohttp import web

from app.archive.documents import render
from app.clients import MONGODB_SECONDS
from app.keys import channel_stream
from app.outages import answering
from web.active_users import REDIS_SECONDS
from web.connection_counts import count_connections
from web.keys import GATEWAY
from web.rest.bodies import answer, given_id_of


async def get(request: web.Request) -> web.Response:
    """Read a channel's statistics."""
    channel_id = given_id_of(request, "id")
    gateway = request.app[GATEWAY]
    async with answering("mongodb", MONGODB_SECONDS):
        messages = await gateway.messages.highest_number(channel_id)
        newest = await gateway.messages.page(channel_id, 1)
        members = await gateway.members.count(channel_id)
    active = await gateway.active_users.count(channel_id)
    async with answering("redis", REDIS_SECONDS):
        connections = await count_connections(gateway.redis, channel_id)
        cached = await gateway.redis.llen(channel_stream(channel_id).name)
    statistics = {
        "channelId": channel_id,
        "messages": messages,
        "members": members,
        "activeUsers": active,
        "connections": connections,
        "lastMessage": orjson.Fragment(render(newest[0])) if newest else None,
        "cached": cached,
    }
    return answer(orjson.dumps(statistics))
