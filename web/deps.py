"""What the gateway's handlers work with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from app.archive.channels import Channels
from app.archive.members import Members
from app.archive.messages import Messages
from app.archive.notifications import Notifications
from app.archive.reactions import Reactions
from app.publisher import Publisher
from app.settings import Settings
from app.stream_log.log import StreamLog

if TYPE_CHECKING:
    from web.active_users import ActiveUsers
    from web.entries import Entries
    from web.fan_out.hub import Hub
    from web.message_cache import MessageCache
    from web.presence import Presence
    from web.waiting import WaitingCounts


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway process: its name among the others, and what it reaches."""

    id: str
    settings: Settings
    messages: Messages
    channels: Channels
    members: Members
    reactions: Reactions
    notifications: Notifications
    cache: "MessageCache"
    publisher: Publisher
    log: StreamLog
    redis: Redis
    hub: "Hub"
    presence: "Presence"
    entries: "Entries"
    active_users: "ActiveUsers"
    waiting: "WaitingCounts"
