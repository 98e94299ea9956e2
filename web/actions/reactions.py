"""What a user can do to others' messages: react, and take it back."""

from app.archive.documents import render
from app.archive.reactions import Result
from app.archive.shown_reactions import Wish
from app.clients import MONGODB_SECONDS
from app.errors import RequestError
from app.outages import answering
from app.outgoing import Reacted
from web.deps import Gateway
from web.identity import User


async def add_reaction(
    gateway: Gateway, user: User, message_id: str, emoji: str, *, traceparent: str
) -> bytes:
    """Add a user's reaction, or find it there; return the message's JSON.

    Raises:
        RequestError: `not_found`, missing or deleted; `conflict`, it would be the 21st kind.
        Unavailable: MongoDB did not confirm it within 5 s.
    """
    async with answering("mongodb", MONGODB_SECONDS):
        found = await gateway.reactions.change(message_id, Wish(emoji, user.id, is_wanted=True))
    return await _publish(gateway, "reaction_added", found, emoji, user, traceparent=traceparent)


async def remove_reaction(
    gateway: Gateway, user: User, message_id: str, emoji: str, *, traceparent: str
) -> bytes:
    """Take a user's reaction back, or find it gone; return the message's JSON.

    Raises:
        RequestError: `not_found`, missing or deleted.
        Unavailable: MongoDB did not confirm it within 5 s.
    """
    async with answering("mongodb", MONGODB_SECONDS):
        found = await gateway.reactions.change(message_id, Wish(emoji, user.id, is_wanted=False))
    return await _publish(gateway, "reaction_removed", found, emoji, user, traceparent=traceparent)


async def _publish(
    gateway: Gateway,
    kind: str,
    found: Result | None,
    emoji: str,
    user: User,
    *,
    traceparent: str,
) -> bytes:
    if found is None:
        raise RequestError("not_found", "there is no such message")
    if found.rev is not None:
        reacted = Reacted(kind, emoji, user.id, found.rev)
        await gateway.publisher.publish_reaction(reacted, found.message, traceparent)
    return render(found.message)
