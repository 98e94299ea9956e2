"""What the gateway's handlers work with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from app.archive.messages import Messages
from app.archive.notifications import Notifications
from app.archive.reactions import Reactions
from app.publisher import Publisher
from app.settings import Settings
from app.stream_log.log import StreamLog

if TYPE_CHECKING:
    from web.hub import Hub
    from web.message_cache import MessageCache


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway process: its name among the others, and what it reaches."""

    id: str
    settings: Settings
    messages: Messages
    reactions: Reactions
    notifications: Notifications
    cache: "MessageCache"
    publisher: Publisher
    log: StreamLog
    redis: Redis
    hub: "Hub"
