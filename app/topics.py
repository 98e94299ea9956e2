"""The four topics: names, keys, consumer groups, policies, and the partition of a key."""

from dataclasses import dataclass
from typing import Final

from aiokafka.partitioner import murmur2


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic, the record field that is its key, and the consumer group that reads it."""

    name: str
    key_field: str
    group: str

    @property
    def dead_letters(self) -> str:
        """The topic of what could not be processed."""
        return f"{self.name}-dlq"


MESSAGES: Final = Topic("messages", "channel_id", "messages-group")
USER_ACTIVITY: Final = Topic("user-activity", "channel_id", "activity-group")
REACTIONS: Final = Topic("reactions", "channel_id", "reactions-group")
NOTIFICATIONS: Final = Topic("notifications", "user_id", "notifications-group")

TOPICS: Final = (MESSAGES, USER_ACTIVITY, REACTIONS, NOTIFICATIONS)


def partition_of(key: bytes, count: int) -> int:
    """Return the partition of `key` among `count`, as Kafka's own Java client chooses it."""
    return int((murmur2(key) & 0x7FFFFFFF) % count)
