"""The typed records of the four topics, and their decoding.

Values are JSON with camelCase names; fields here are snake_case. Unknown fields are ignored, so
that a newer gateway can run beside an older worker; an unknown type is refused.
"""

from functools import lru_cache
from typing import Any, ClassVar, Final

import faust
import orjson
from faust.models.fields import FieldDescriptor

from app.ids import is_message_id
from app.record_reader import Mismatch, RecordReader
from app.topics import MESSAGES, NOTIFICATIONS, REACTIONS, USER_ACTIVITY, Topic, partition_of


def _wire(name: str, **options: Any) -> Any:
    """A field that is called `name` on the wire."""
    return FieldDescriptor(input_name=name, output_name=name, **options)


class Event(
    faust.Record,
    abstract=True,
    serializer="json",
    # Without it the Python module's path would travel in every payload.
    include_metadata=False,
    validation=True,
):
    """What every record carries. `occurred_at` is RFC 3339 with milliseconds."""

    wire_type: ClassVar[str]

    type: str
    event_id: str = _wire("eventId")
    occurred_at: str = _wire("occurredAt")


class ChannelEvent(Event, abstract=True):
    """An event of a channel, which is its key."""

    channel_id: str = _wire("channelId")


class MessageEvent(ChannelEvent, abstract=True):
    """A change of a message, with the whole message as clients see it."""

    rev: int
    message: dict[str, Any]

    @property
    def changed_id(self) -> str:
        """The id of the message that changed; empty if the record carries none."""
        return str(self.message.get("id", ""))


class MessageCreated(MessageEvent, namespace="hubbub.message_created"):
    """A message was accepted."""


class MessageUpdated(MessageEvent, namespace="hubbub.message_updated"):
    """A message was edited."""


class MessageDeleted(MessageEvent, namespace="hubbub.message_deleted"):
    """A message was deleted; `message` is its tombstone."""


class ChannelRead(ChannelEvent, namespace="hubbub.channel_read"):
    """A user has read a channel up to a message's number."""

    user_id: str = _wire("userId")
    number: int


class ProjectionWanted(ChannelEvent, namespace="hubbub.projection_wanted"):
    """A user's counts are to be written anew."""

    user_id: str = _wire("userId")


class MembershipEvent(ChannelEvent, abstract=True):
    """A user's membership of a channel changed, by someone's hand."""

    user_id: str = _wire("userId")
    by: str


class MemberJoined(MembershipEvent, namespace="hubbub.member_joined"):
    """A user became a member."""


class MemberLeft(MembershipEvent, namespace="hubbub.member_left"):
    """A user is no member any more."""


class SessionEvent(ChannelEvent, abstract=True):
    """A connection's join of a channel began, is ending, or is over."""

    user_id: str = _wire("userId")
    user_name: str = _wire("userName")
    session_id: str = _wire("sessionId")
    gateway_id: str = _wire("gatewayId")


class UserJoined(SessionEvent, namespace="hubbub.user_joined"):
    """A session began."""


class UserLeft(SessionEvent, namespace="hubbub.user_left"):
    """A session was ended by its user."""


class SessionClosing(SessionEvent, namespace="hubbub.session_closing"):
    """A connection ended; its user may be back in a moment."""


class SessionExpired(SessionEvent, namespace="hubbub.session_expired"):
    """A session's time is over."""


class Typing(ChannelEvent, namespace="hubbub.typing"):
    """A user is typing."""

    user_id: str = _wire("userId")
    user_name: str = _wire("userName")


class ActiveUsersWanted(ChannelEvent, namespace="hubbub.active_users_wanted"):
    """A channel's list of active users is to be written anew."""


class ReactionEvent(MessageEvent, abstract=True):
    """A user's reaction to a message changed."""

    message_id: str = _wire("messageId")
    emoji: str
    user_id: str = _wire("userId")


class ReactionAdded(ReactionEvent, namespace="hubbub.reaction_added"):
    """A reaction was added."""


class ReactionRemoved(ReactionEvent, namespace="hubbub.reaction_removed"):
    """A reaction was taken back."""


class Notification(Event, namespace="hubbub.notification"):
    """Something a user is to be told."""

    id: str
    user_id: str = _wire("userId")
    kind: str
    data: dict[str, Any]


class NotificationsRead(Event, namespace="hubbub.notifications_read"):
    """A user has read notifications; `ids` null: all of them."""

    user_id: str = _wire("userId")
    ids: list[str] | None = None


TYPES: Final[dict[str, dict[str, type[Event]]]] = {
    MESSAGES.name: {
        "message_created": MessageCreated,
        "message_updated": MessageUpdated,
        "message_deleted": MessageDeleted,
        "channel_read": ChannelRead,
        "member_joined": MemberJoined,
        "member_left": MemberLeft,
        "projection_wanted": ProjectionWanted,
    },
    USER_ACTIVITY.name: {
        "user_joined": UserJoined,
        "user_left": UserLeft,
        "session_closing": SessionClosing,
        "session_expired": SessionExpired,
        "typing": Typing,
        "active_users_wanted": ActiveUsersWanted,
    },
    REACTIONS.name: {"reaction_added": ReactionAdded, "reaction_removed": ReactionRemoved},
    NOTIFICATIONS.name: {"notification": Notification, "notifications_read": NotificationsRead},
}
"""topic -> type -> class"""


class Undecodable(Exception):  # noqa: N818
    """A record that no agent may see, with the `reason` its dead letter carries."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(f"{reason}: {error}")
        self.reason = reason
        self.error = error


def decode(
    topic: Topic, key: bytes | None, value: bytes | None, partition: int, partitions: int
) -> Event:
    """Return the typed record of a raw one read from `partition` of `partitions`.

    Raises:
        Undecodable: `bad_json`, `unknown_type`, `invalid`, `wrong_key` (the key is not the record's
            channel or user) or `wrong_partition` (written by a client that partitions otherwise).
            The text names fields, never what they hold.
    """
    try:
        data = orjson.loads(value or b"")
    except orjson.JSONDecodeError as error:
        raise Undecodable("bad_json", f"at character {error.pos}") from None
    if not isinstance(data, dict):
        raise Undecodable("invalid", "not an object")
    record_type = TYPES[topic.name].get(str(data.get("type")))
    if record_type is None:
        raise Undecodable("unknown_type", "no such type in this topic")
    try:
        record = _readers[record_type].read(data)
    except Mismatch as error:
        raise Undecodable("invalid", str(error)) from None
    if isinstance(record, MessageEvent) and not is_message_id(record.changed_id):
        raise Undecodable("invalid", "the message has no id")
    if isinstance(record, ReactionEvent) and record.message_id != record.changed_id:
        raise Undecodable("invalid", "the message is not the one that is reacted to")
    expected = str(getattr(record, topic.key_field)).encode()
    if key != expected:
        raise Undecodable("wrong_key", f"the key is not the record's {topic.key_field}")
    belongs_to = _partition_of(expected, partitions)
    if belongs_to != partition:
        raise Undecodable("wrong_partition", f"belongs to {belongs_to}")
    return record


_readers: Final = {
    record_type: RecordReader(record_type)
    for types in TYPES.values()
    for record_type in types.values()
}

# murmur2 in Python takes as long as all the rest; the keys are mostly those of a moment ago.
_partition_of: Final = lru_cache(maxsize=65_536)(partition_of)
