"""What a user can do that others see only while they look: type."""

from app.errors import Unavailable
from app.keys import TYPING_SECONDS, typing
from app.outages import answering
from web.active_users import REDIS_SECONDS
from web.deps import Gateway
from web.identity import User


async def show_typing(gateway: Gateway, user: User, channel_id: str) -> None:
    """Tell a channel that a user types, at most once in 5 s over all gateways.

    What cannot be told now is not worth telling later: it is dropped while Redis or Kafka is away.
    """
    key = typing(channel_id, user.id)
    try:
        async with answering("redis", REDIS_SECONDS):
            is_first = await gateway.redis.set(key, 1, nx=True, ex=TYPING_SECONDS)
    except Unavailable:
        return
    if is_first:
        gateway.presence.tell_typing(user, channel_id)
