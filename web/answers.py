"""What the REST calls answer with, for the OpenAPI document; the archive renders the bytes."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from web.fields import GivenId, MessageId, NotificationId

Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Number = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class Answer(BaseModel):
    """Anything the gateway answers with: camelCase, every field always there."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


class Reaction(Answer):
    """One kind of emoji on a message, with the first twenty of its users."""

    emoji: str
    count: Number
    user_ids: list[GivenId]


class Message(Answer):
    """A message. `number` is its place in its channel, null until the agents have given it one."""

    id: MessageId
    rev: Number
    channel_id: GivenId
    number: Number | None
    sender_id: GivenId
    sender_name: str
    content: str
    reply_to: MessageId | None
    mentions: list[GivenId]
    reactions: list[Reaction]
    metadata: dict[str, JsonValue]
    created_at: Time
    edited_at: Time | None


class Tombstone(Answer):
    """What is left of a deleted message."""

    id: MessageId
    rev: Number
    channel_id: GivenId
    number: Number | None
    deleted: Literal[True]
    deleted_at: Time


class MessagePage(Answer):
    """Messages, newest first; `next` goes back in the parameter that this page was asked with."""

    items: list[Message]
    next: str | None


class ReactionUser(Answer):
    """A user who has reacted with one kind of emoji."""

    user_id: GivenId
    created_at: Time


class ReactionPage(Answer):
    """Who has reacted, the earliest first; `next` goes back in `after`."""

    items: list[ReactionUser]
    next: str | None


class Notification(Answer):
    """Something that a user was told; a mention has kind `mention`."""

    id: NotificationId
    kind: str
    data: dict[str, JsonValue]
    created_at: Time
    read_at: Time | None


class NotificationPage(Answer):
    """A user's notifications, newest first, and how many are unread in all; `next` goes back in
    `before`."""

    items: list[Notification]
    unread: Count
    next: str | None


class Notified(Answer):
    """A user who will be told, and the id of the notification that tells them."""

    user_id: GivenId
    id: NotificationId


class NotifiedUsers(Answer):
    """Who will be told, each user once, in the order in which they were named."""

    items: list[Notified]


class Channel(Answer):
    """A channel. One that was made by its first message or join has no name and no owner."""

    id: GivenId
    kind: Literal["open", "private", "direct"]
    name: str | None
    server_id: GivenId | None
    owner_id: GivenId | None
    created_at: Time


class Member(Answer):
    """A member of a channel."""

    user_id: GivenId
    role: Literal["owner", "member"]
    joined_at: Time


class MemberPage(Answer):
    """Members, by user id; `next` goes back in `after`."""

    items: list[Member]
    next: str | None


class Read(Answer):
    """How far a member has read a channel: up to the message of this number."""

    user_id: GivenId
    number: Count


class ReadPage(Answer):
    """Read receipts, by user id; `next` goes back in `after`."""

    items: list[Read]
    next: str | None


class UnreadChannel(Answer):
    """What a member has read of a channel whose newest message is `number`, and what not."""

    channel_id: GivenId
    unread: Count
    mentions: Count
    read: Count
    number: Count


class Unread(Answer):
    """What a user has not read, in all and by channel: every channel they are a member of."""

    total: Count
    mentions: Count
    channels: list[UnreadChannel]


class ActiveUser(Answer):
    """A user who is in a channel."""

    user_id: GivenId
    user_name: str


class ActiveUserPage(Answer):
    """Who is in a channel, by user id, and how many in all; `next` goes back in `after`."""

    items: list[ActiveUser]
    count: Annotated[int, Field(ge=0)]
    next: str | None


class UserPresence(Answer):
    """Whether a user is connected to any gateway."""

    user_id: GivenId
    online: bool


class UserPresences(Answer):
    """Who is online, in the order asked."""

    items: list[UserPresence]


class ChannelStatistics(Answer):
    """A channel over all gateways: `messages` ever numbered, `members`, `active_users` and their
    `connections`, the newest message that is not deleted, and how many are `cached`."""

    channel_id: GivenId
    messages: Annotated[int, Field(ge=0)]
    members: Annotated[int, Field(ge=0)]
    active_users: Annotated[int, Field(ge=0)]
    connections: Annotated[int, Field(ge=0)]
    last_message: Message | None
    cached: Annotated[int, Field(ge=0)]


class WrongField(Answer):
    """A field that is wrong, by its dotted path, and why."""

    path: str
    message: str


class ProblemDetails(Answer):
    """An error (RFC 9457): `errors` with `invalid`, `dependency` with `unavailable`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[WrongField] = []
    dependency: str = ""
