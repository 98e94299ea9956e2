"""`/api/messages`: send, list, read, edit, delete."""

from typing import Final

import orjson
from aiohttp import web
from prometheus_client import Counter

from app.archive.documents import render
from app.clients import MONGODB_SECONDS
from app.errors import FieldError, RequestError
from app.outages import answering
from web import actions
from web.identity import sender_of, user_of
from web.keys import GATEWAY
from web.parsing import check_idempotency_key
from web.rest.bodies import answer, message_id_of, read_body, read_query, traceparent_in
from web.schemas import EditMessage, MessagesQuery, SendMessage

_reads: Final = Counter("hubbub_cache_reads_total", "Pages of messages read.", ["result"])
_hits: Final = _reads.labels("hit")
_misses: Final = _reads.labels("miss")


async def send(request: web.Request) -> web.Response:
    """Send a message; it is in MongoDB when this is answered."""
    body = await read_body(request, SendMessage)
    user = user_of(request, sender_id=body.sender_id, sender_name=body.sender_name)
    sender = sender_of(user, sender_id=body.sender_id, sender_name=body.sender_name)
    message, is_new = await actions.send_message(
        request.app[GATEWAY],
        sender,
        body,
        key=_key_of(request, body),
        traceparent=traceparent_in(request),
    )
    return answer(message, status=201 if is_new else 200)


def _key_of(request: web.Request, body: SendMessage) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return body.nonce
    check_idempotency_key(key)
    if body.nonce is not None and body.nonce != key:
        message = "must be the Idempotency-Key, where both are given"
        raise RequestError("invalid", f"nonce {message}", [FieldError("nonce", message)])
    return key


async def list_page(request: web.Request) -> web.Response:
    """Read a page of a channel's messages, newest first."""
    query = read_query(request, MessagesQuery)
    page = await request.app[GATEWAY].cache.page(
        query.channel_id, query.limit, before=query.before, after=query.after
    )
    (_hits if page.is_hit else _misses).inc()
    bound = orjson.dumps(None if page.next is None else str(page.next))
    body = b'{"items":[%s],"next":%s}' % (b",".join(page.messages), bound)
    return answer(body, headers={"X-Cache": "hit" if page.is_hit else "miss"})


async def get(request: web.Request) -> web.Response:
    """Read one message, numbered or not."""
    message_id = message_id_of(request)
    async with answering("mongodb", MONGODB_SECONDS):
        document = await request.app[GATEWAY].messages.get(message_id)
    if document is None or document.get("deletedAt") is not None:
        raise RequestError("not_found", "there is no such message")
    return answer(render(document))


async def edit(request: web.Request) -> web.Response:
    """Change the content or the metadata of one's own message."""
    message_id = message_id_of(request)
    body = await read_body(request, EditMessage)
    message = await actions.edit_message(
        request.app[GATEWAY],
        user_of(request),
        message_id,
        body,
        traceparent=traceparent_in(request),
    )
    return answer(message)


async def delete(request: web.Request) -> web.Response:
    """Delete one's own message; again: the same answer."""
    message_id = message_id_of(request)
    tombstone = await actions.delete_message(
        request.app[GATEWAY], user_of(request), message_id, traceparent=traceparent_in(request)
    )
    return answer(tombstone)
