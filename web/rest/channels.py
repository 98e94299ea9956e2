"""`/api/channels`: make, read, the members, and how far they have read."""

import orjson
from aiohttp import web

from app.archive.channels import render_channel
from app.archive.members import describe_member
from app.clients import MONGODB_SECONDS
from app.errors import RequestError
from app.outages import answering
from tables.readers import read_receipts
from web.actions import channels, reads
from web.actions.reads import REDIS_SECONDS
from web.identity import user_of
from web.keys import GATEWAY
from web.rest.bodies import answer, given_id_of, read_body, read_query, traceparent_in
from web.schemas import CreateChannel, MarkRead, MembersQuery


async def create(request: web.Request) -> web.Response:
    """Make a channel, or find it by its id; a direct one is found by its pair of members."""
    body = await read_body(request, CreateChannel)
    channel, is_new = await channels.create_channel(
        request.app[GATEWAY], user_of(request), body, traceparent=traceparent_in(request)
    )
    return answer(channel, status=201 if is_new else 200)


async def get(request: web.Request) -> web.Response:
    """Read one channel."""
    channel_id = given_id_of(request, "id")
    async with answering("mongodb", MONGODB_SECONDS):
        document = await request.app[GATEWAY].channels.find(channel_id)
    if document is None:
        raise RequestError("not_found", "there is no such channel")
    return answer(render_channel(document))


async def add_member(request: web.Request) -> web.Response:
    """Make a user a member."""
    await channels.add_member(
        request.app[GATEWAY],
        user_of(request),
        given_id_of(request, "id"),
        given_id_of(request, "userId"),
        traceparent=traceparent_in(request),
    )
    return web.Response(status=204)


async def remove_member(request: web.Request) -> web.Response:
    """End a user's membership."""
    await channels.remove_member(
        request.app[GATEWAY],
        user_of(request),
        given_id_of(request, "id"),
        given_id_of(request, "userId"),
        traceparent=traceparent_in(request),
    )
    return web.Response(status=204)


async def list_members(request: web.Request) -> web.Response:
    """Read a page of a channel's members, by user id."""
    channel_id, query = given_id_of(request, "id"), read_query(request, MembersQuery)
    async with answering("mongodb", MONGODB_SECONDS):
        found = await request.app[GATEWAY].members.page(
            channel_id, query.limit + 1, query.after or ""
        )
    members = [describe_member(document) for document in found[: query.limit]]
    bound = members[-1]["userId"] if len(found) > query.limit else None
    return answer(orjson.dumps({"items": members, "next": bound}))


async def mark_read(request: web.Request) -> web.Response:
    """Mark a channel as read up to a number, or all of it."""
    channel_id = given_id_of(request, "id")
    body = await read_body(request, MarkRead)
    await reads.mark_read(
        request.app[GATEWAY],
        user_of(request),
        channel_id,
        body.number,
        traceparent=traceparent_in(request),
    )
    return web.Response(status=204)


async def list_reads(request: web.Request) -> web.Response:
    """Read how far a page of a channel's members have read it, by user id."""
    gateway = request.app[GATEWAY]
    channel_id, query = given_id_of(request, "id"), read_query(request, MembersQuery)
    async with answering("mongodb", MONGODB_SECONDS):
        found = await gateway.members.page(channel_id, query.limit + 1, query.after or "")
    user_ids = [document["userId"] for document in found[: query.limit]]
    async with answering("redis", REDIS_SECONDS):
        numbers = await read_receipts(gateway.redis, channel_id, user_ids)
    items = [
        {"userId": user_id, "number": number}
        for user_id, number in zip(user_ids, numbers, strict=True)
        if number is not None
    ]
    bound = user_ids[-1] if len(found) > query.limit else None
    return answer(orjson.dumps({"items": items, "next": bound}))
