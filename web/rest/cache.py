"""`/api/cache`: what Redis holds of a channel, a server or a user is built anew."""

from aiohttp import web

from web.actions.cache import invalidate_channels, invalidate_server, invalidate_user
from web.keys import GATEWAY
from web.rest.bodies import given_id_of, traceparent_in


async def drop_channel(request: web.Request) -> web.Response:
    """Have a channel's messages and active users read anew."""
    channel_id = given_id_of(request, "id")
    await invalidate_channels(request.app[GATEWAY], [channel_id], traceparent_in(request))
    return web.Response(status=204)


async def drop_server(request: web.Request) -> web.Response:
    """Have all channels of a server read anew."""
    server_id = given_id_of(request, "id")
    await invalidate_server(request.app[GATEWAY], server_id, traceparent_in(request))
    return web.Response(status=204)


async def drop_user(request: web.Request) -> web.Response:
    """Have a user's unread counts read anew."""
    user_id = given_id_of(request, "id")
    await invalidate_user(request.app[GATEWAY], user_id, traceparent_in(request))
    return web.Response(status=204)
