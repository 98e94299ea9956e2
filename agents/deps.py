"""What the rules are given: the archive, the stream log, and Redis itself."""

from dataclasses import dataclass

from redis.asyncio import Redis

from app.archive.channels import Channels
from app.archive.marks import Marks
from app.archive.members import Members
from app.archive.notifications import Notifications
from app.stream_log.log import StreamLog


@dataclass(frozen=True, slots=True)
class Deps:
    """The dependencies of a worker's rule. `instance` names this process to the archive."""

    marks: Marks
    log: StreamLog
    redis: Redis
    instance: str
    channels: Channels
    members: Members
    notifications: Notifications
