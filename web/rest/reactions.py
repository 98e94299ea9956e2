"""`/api/messages/{id}/reactions/{emoji}`: add, take back, see who."""

import orjson
from aiohttp import web

from app.archive.documents import format_time
from app.clients import MONGODB_SECONDS
from app.errors import FieldError, RequestError
from app.outages import answering
from web.actions.reactions import add_reaction, remove_reaction
from web.fields import is_emoji
from web.identity import user_of
from web.keys import GATEWAY
from web.rest.bodies import answer, message_id_of, read_query, traceparent_in
from web.schemas import ReactionsQuery


async def add(request: web.Request) -> web.Response:
    """Add one's own reaction to a message; again: the same answer."""
    message_id, emoji = message_id_of(request), _emoji_of(request)
    message = await add_reaction(
        request.app[GATEWAY],
        user_of(request),
        message_id,
        emoji,
        traceparent=traceparent_in(request),
    )
    return answer(message)


async def remove(request: web.Request) -> web.Response:
    """Take one's own reaction back; again: the same answer."""
    message_id, emoji = message_id_of(request), _emoji_of(request)
    message = await remove_reaction(
        request.app[GATEWAY],
        user_of(request),
        message_id,
        emoji,
        traceparent=traceparent_in(request),
    )
    return answer(message)


async def list_users(request: web.Request) -> web.Response:
    """Read who has reacted with this emoji, the earliest first."""
    message_id, emoji = message_id_of(request), _emoji_of(request)
    query = read_query(request, ReactionsQuery)
    gateway = request.app[GATEWAY]
    async with answering("mongodb", MONGODB_SECONDS):
        message = await gateway.messages.get(message_id)
        if message is None or message.get("deletedAt") is not None:
            raise RequestError("not_found", "there is no such message")
        found = await gateway.reactions.users(message_id, emoji, query.limit + 1, after=query.after)
    items = [
        {"userId": each["userId"], "createdAt": format_time(each["createdAt"])}
        for each in found[: query.limit]
    ]
    has_more = len(found) > query.limit
    bound = str(found[query.limit - 1]["rev"]) if has_more else None
    return answer(orjson.dumps({"items": items, "next": bound}))


def _emoji_of(request: web.Request) -> str:
    emoji, spelled = request.match_info["emoji"], request.rel_url.raw_path
    # What is no UTF-8 has been left as it was spelled, with its percent signs.
    is_decoded = emoji.count("%") == spelled.rpartition("/")[2].count("%25")
    if not is_decoded or not is_emoji(emoji):
        message = "must be 1 to 32 characters, no spaces or control characters"
        raise RequestError("invalid", f"emoji {message}", [FieldError("emoji", message)])
    return emoji
