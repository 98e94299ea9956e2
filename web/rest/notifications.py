"""`/api/notifications` and `/api/users/{id}/notifications`: tell users, list, mark as read."""

import asyncio

import orjson
from aiohttp import web

from app.archive.notifications import render_notification
from app.clients import MONGODB_SECONDS
from app.errors import FieldError, RequestError
from app.outages import answering
from web.actions import notifications as actions
from web.keys import GATEWAY
from web.parsing import check_idempotency_key
from web.rest.bodies import answer, owner_of, read_body, read_query, traceparent_in
from web.schemas import NotificationsQuery, Notify, ReadNotifications


async def notify(request: web.Request) -> web.Response:
    """Tell users something; Kafka has it when this is answered."""
    body = await read_body(request, Notify)
    key = request.headers.get("Idempotency-Key")
    told = await actions.notify(
        request.app[GATEWAY],
        body,
        key=None if key is None else check_idempotency_key(key),
        traceparent=traceparent_in(request),
    )
    items = [{"userId": user_id, "id": notification_id} for user_id, notification_id in told]
    return answer(orjson.dumps({"items": items}), status=202)


async def list_page(request: web.Request) -> web.Response:
    """Read a page of one's own notifications, newest first, and how many are unread in all."""
    user = owner_of(request)
    query = read_query(request, NotificationsQuery)
    archive = request.app[GATEWAY].notifications
    async with answering("mongodb", MONGODB_SECONDS):
        before = None
        if query.before is not None:
            before = await archive.get(user.id, query.before)
            if before is None:
                error = FieldError("before", "names no notification of this user")
                raise RequestError("invalid", f"before {error.message}", [error])
        found, unread = await asyncio.gather(
            archive.page(user.id, query.limit + 1, before=before), archive.count_unread([user.id])
        )
    items = found[: query.limit]
    bound = orjson.dumps(items[-1]["_id"] if len(found) > query.limit else None)
    rendered = b",".join(map(render_notification, items))
    return answer(b'{"items":[%s],"unread":%d,"next":%s}' % (rendered, unread[user.id], bound))


async def mark_read(request: web.Request) -> web.Response:
    """Mark one's own notifications as read: those of `ids`, or all."""
    user = owner_of(request)
    body = await read_body(request, ReadNotifications)
    await actions.read_notifications(
        request.app[GATEWAY], user, body.ids, traceparent=traceparent_in(request)
    )
    return web.Response(status=204)
