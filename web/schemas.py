"""The bodies and queries that a client may send."""

from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from web.fields import (
    LARGEST_NUMBER,
    MEMBERS,
    MENTIONS,
    NOTIFIED_USERS,
    PAGE_LENGTH,
    Bound,
    ChannelIds,
    Content,
    DisplayName,
    GivenId,
    IdempotencyKey,
    Limit,
    MessageId,
    Metadata,
    NotificationId,
    Rev,
    Sinces,
    UserIds,
)


class Input(BaseModel):
    """Anything a client sends: camelCase on the wire, nothing unknown, no type converted."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


class SendMessage(Input):
    """The body of `POST /api/messages`, and of the op `send_message`."""

    content: Content
    channel_id: GivenId
    sender_id: GivenId | None = None
    sender_name: DisplayName | None = None
    nonce: IdempotencyKey | None = None
    reply_to: MessageId | None = None
    # Factories: pydantic deep-copies a mutable default for every message.
    mentions: Annotated[list[GivenId], Field(max_length=MENTIONS)] = Field(default_factory=list)
    metadata: Metadata = Field(default_factory=dict)

    @property
    def metadata_text(self) -> str:
        """The metadata as JSON text."""
        return orjson.dumps(self.metadata).decode()


class EditMessage(Input):
    """The body of `PATCH /api/messages/{id}`, and of the op `edit_message`."""

    content: Content | None = None
    metadata: Metadata | None = None

    @property
    def metadata_text(self) -> str | None:
        """The metadata as JSON text, if there is any."""
        return None if self.metadata is None else orjson.dumps(self.metadata).decode()


class MessagesQuery(Input):
    """The query of `GET /api/messages`. `before` and `after`: a number, or a message's id."""

    channel_id: GivenId
    limit: Limit = 50
    before: Bound | None = None
    after: Bound | None = None

    @model_validator(mode="after")
    def _check_direction(self) -> "MessagesQuery":
        if self.before is not None and self.after is not None:
            raise PydanticCustomError("direction", "excludes before", {"path": "after"})
        return self


class ReactionsQuery(Input):
    """The query of `GET /api/messages/{id}/reactions/{emoji}`. `after`: the `next` of a page."""

    limit: Limit = 50
    after: Rev = 0


class NotificationsQuery(Input):
    """The query of `GET /api/users/{id}/notifications`. `before`: the id of a notification."""

    limit: Limit = 50
    before: NotificationId | None = None


class ActiveUsersQuery(Input):
    """The query of `GET /api/channels/{id}/active-users`. `after`: the `next` of a page."""

    limit: Limit = 50
    after: GivenId | None = None


class PresenceQuery(Input):
    """The query of `GET /api/presence`: ids of users, separated by commas."""

    user_ids: UserIds


class Notify(Input):
    """The body of `POST /api/notifications`: what each of these users is told."""

    user_ids: Annotated[list[GivenId], Field(min_length=1, max_length=NOTIFIED_USERS)]
    kind: GivenId
    data: Metadata = Field(default_factory=dict)


class ReadNotifications(Input):
    """The body of `POST /api/users/{id}/notifications/read`; without `ids`: all of them."""

    ids: Annotated[list[NotificationId], Field(max_length=PAGE_LENGTH)] | None = None


class EventsQuery(Input):
    """The query of `GET /api/events`: channels, and a cursor or `-` for each, by commas."""

    channels: ChannelIds
    since: Sinces | None = None
    user_since: str | None = None


class CreateChannel(Input):
    """The body of `POST /api/channels`. A direct channel has no name, and one other member."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"kind": {"const": "direct"}}},
            "then": {"properties": {"name": {"type": "null"}}},
            "else": {"required": ["name"], "properties": {"name": {"type": "string"}}},
        }
    )

    kind: Literal["open", "private", "direct"]
    name: DisplayName | None = None
    id: GivenId | None = None
    server_id: GivenId | None = None
    members: Annotated[list[GivenId], Field(max_length=MEMBERS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_name(self) -> "CreateChannel":
        if (self.name is None) != (self.kind == "direct"):
            raise PydanticCustomError(
                "name", "is required, but not of a direct channel", {"path": "name"}
            )
        return self


class MembersQuery(Input):
    """The query of `GET /api/channels/{id}/members` and `/reads`. `after`: a user id."""

    limit: Limit = 50
    after: GivenId | None = None


class MarkRead(Input):
    """The body of `POST /api/channels/{id}/read`; without `number`: the whole channel."""

    number: Annotated[int, Field(ge=0, le=LARGEST_NUMBER)] | None = None
