"""The four topics: names, keys, consumer groups, policies, and the partition of a key."""

from dataclasses import dataclass
from typing import Final

from aiokafka.partitioner import murmur2


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic, the record field that is its key, the consumer group that reads it, and the tables
    that this group keeps."""

    name: str
    key_field: str
    group: str
    tables: tuple[str, ...] = ()

    @property
    def dead_letters(self) -> str:
        """The topic of what could not be processed."""
        return f"{self.name}-dlq"

    @property
    def changelogs(self) -> tuple[str, ...]:
        """The compacted topics of the group's tables; Faust's own names for them."""
        return tuple(f"{self.group}-{table}-changelog" for table in self.tables)


MESSAGES: Final = Topic("messages", "channel_id", "messages-group", ("channel_state", "read_state"))
USER_ACTIVITY: Final = Topic("user-activity", "channel_id", "activity-group", ("active_users",))
REACTIONS: Final = Topic("reactions", "channel_id", "reactions-group")
NOTIFICATIONS: Final = Topic(
    "notifications", "user_id", "notifications-group", ("notification_state",)
)

TOPICS: Final = (MESSAGES, USER_ACTIVITY, REACTIONS, NOTIFICATIONS)


def partition_of(key: bytes, count: int) -> int:
    """Return the partition of `key` among `count`, as Kafka's own Java client chooses it."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)
