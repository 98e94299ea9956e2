"""`/api/channels/{id}/active-users`, `/api/channels/{id}/typing`, `/api/presence`."""

import orjson
from aiohttp import web

from app.outages import answering
from web import actions
from web.active_users import REDIS_SECONDS
from web.connection_counts import find_online
from web.identity import user_of
from web.keys import GATEWAY
from web.rest.bodies import answer, given_id_of, read_query
from web.schemas import ActiveUsersQuery, PresenceQuery


async def list_active(request: web.Request) -> web.Response:
    """Read who is in a channel, by user id."""
    channel_id = given_id_of(request, "id")
    query = read_query(request, ActiveUsersQuery)
    active_users = request.app[GATEWAY].active_users
    items, count, bound = await active_users.page(channel_id, query.limit, query.after or "")
    return answer(orjson.dumps({"items": items, "count": count, "next": bound}))


async def list_online(request: web.Request) -> web.Response:
    """Read who of up to 100 users is online, in the order asked."""
    user_ids = read_query(request, PresenceQuery).user_ids
    async with answering("redis", REDIS_SECONDS):
        online = await find_online(request.app[GATEWAY].redis, user_ids)
    items = [
        {"userId": user_id, "online": is_online}
        for user_id, is_online in zip(user_ids, online, strict=True)
    ]
    return answer(orjson.dumps({"items": items}))


async def show_typing(request: web.Request) -> web.Response:
    """Tell a channel that one types: at most once in 5 s."""
    channel_id = given_id_of(request, "id")
    await actions.show_typing(request.app[GATEWAY], user_of(request), channel_id)
    return web.Response(status=204)
