"""What a client may send: the bodies, frames and queries, and how they are checked."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, from_json

from app.errors import FieldError, RequestError
from app.ids import GIVEN_ID, MESSAGE_ID, NOTIFICATION_ID

CONTENT_LENGTH: Final = 4000
METADATA_BYTES: Final = 4096
MENTIONS: Final = 50
PAGE_LENGTH: Final = 100
NAME_LENGTH: Final = 100
MEMBERS: Final = 100
LARGEST_NUMBER: Final = 10**15 - 1
EMOJI: Final = r"[^\s\x00-\x1f\x7f-\x9f]{1,32}"
NOTIFIED_USERS: Final = 100
PRESENCE_USERS: Final = 100
NAMED_ERRORS: Final = 20
"""Errors named in an answer; a hostile body could have thousands."""

_control = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_emoji = re.compile(EMOJI)

Model = TypeVar("Model", bound=BaseModel)


def is_display_name(value: str) -> bool:
    """Whether `value` may name a user to others: 1 to 100 code points, no control characters."""
    fits = 0 < len(value) <= NAME_LENGTH and bool(value.strip())
    return fits and _control.search(value) is None and _is_text(value)


def is_emoji(value: str) -> bool:
    """Whether `value` may be a reaction: 1 to 32 code points, no control characters or spaces."""
    return _emoji.fullmatch(value) is not None and _is_text(value)


def _is_text(value: str) -> bool:
    # A header's or a query's stray bytes arrive as lone surrogates, which no encoder takes.
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _check_content(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "must not be only white space")
    if "\x00" in value:
        raise PydanticCustomError("control", "must not contain U+0000")
    return value


def _check_name(value: str) -> str:
    if not is_display_name(value):
        raise PydanticCustomError("name", "must be 1 to 100 characters, not only white space")
    return value


def _check_key(value: str) -> str:
    if _control.search(value) or not _is_text(value):
        raise PydanticCustomError("control", "must not contain control characters")
    return value


def _check_emoji(value: str) -> str:
    if not is_emoji(value):
        raise PydanticCustomError(
            "emoji", "must be 1 to 32 characters, no spaces or control characters"
        )
    return value


def _check_metadata(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise PydanticCustomError("too_wide", "integers must fit into 64 bits") from None
    if len(text) > METADATA_BYTES:
        raise PydanticCustomError("too_long", "must be at most 4 KB of JSON")
    if not all(math.isfinite(number) for number in _floats(value)):
        raise PydanticCustomError("too_wide", "numbers must fit into a double")
    return value


def _floats(value: JsonValue) -> Iterable[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _floats(item)
    elif isinstance(value, list):
        for item in value:
            yield from _floats(item)


def _to_integer(value: object) -> object:
    # A query is text: this, and nothing else, is converted.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value


GivenId = Annotated[str, StringConstraints(pattern=f"^{GIVEN_ID}$")]
Bound = Annotated[str, StringConstraints(pattern=f"^([0-9]{{1,15}}|{MESSAGE_ID})$")]
MessageId = Annotated[str, StringConstraints(pattern=f"^{MESSAGE_ID}$")]
Content = Annotated[
    str, StringConstraints(min_length=1, max_length=CONTENT_LENGTH), AfterValidator(_check_content)
]
DisplayName = Annotated[
    str, StringConstraints(min_length=1, max_length=NAME_LENGTH), AfterValidator(_check_name)
]
IdempotencyKey = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(_check_key)
]
Emoji = Annotated[str, AfterValidator(_check_emoji)]
NotificationId = Annotated[str, StringConstraints(pattern=f"^{NOTIFICATION_ID}$")]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_check_metadata)]


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
    limit: Annotated[int, BeforeValidator(_to_integer), Field(ge=1, le=PAGE_LENGTH)] = 50
    before: Bound | None = None
    after: Bound | None = None

    @model_validator(mode="after")
    def _check_direction(self) -> "MessagesQuery":
        if self.before is not None and self.after is not None:
            raise PydanticCustomError("direction", "before and after exclude each other")
        return self


Limit = Annotated[int, BeforeValidator(_to_integer), Field(ge=1, le=PAGE_LENGTH)]


class ReactionsQuery(Input):
    """The query of `GET /api/messages/{id}/reactions/{emoji}`. `after`: the `next` of a page."""

    limit: Limit = 50
    after: Annotated[int, BeforeValidator(_to_integer), Field(ge=0)] = 0


class NotificationsQuery(Input):
    """The query of `GET /api/users/{id}/notifications`. `before`: the id of a notification."""

    limit: Limit = 50
    before: NotificationId | None = None


def _split(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


class ActiveUsersQuery(Input):
    """The query of `GET /api/channels/{id}/active-users`. `after`: the `next` of a page."""

    limit: Limit = 50
    after: GivenId | None = None


class PresenceQuery(Input):
    """The query of `GET /api/presence`: ids of users, separated by commas."""

    user_ids: Annotated[
        list[GivenId], BeforeValidator(_split), Field(min_length=1, max_length=PRESENCE_USERS)
    ]


class Notify(Input):
    """The body of `POST /api/notifications`: what each of these users is told."""

    user_ids: Annotated[list[GivenId], Field(min_length=1, max_length=NOTIFIED_USERS)]
    kind: GivenId
    data: Metadata = Field(default_factory=dict)


class ReadNotifications(Input):
    """The body of `POST /api/users/{id}/notifications/read`; without `ids`: all of them."""

    ids: Annotated[list[NotificationId], Field(max_length=PAGE_LENGTH)] | None = None


class CreateChannel(Input):
    """The body of `POST /api/channels`. A direct channel has no name, and one other member."""

    kind: Literal["open", "private", "direct"]
    name: DisplayName | None = None
    id: GivenId | None = None
    server_id: GivenId | None = None
    members: Annotated[list[GivenId], Field(max_length=MEMBERS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_name(self) -> "CreateChannel":
        if (self.name is None) != (self.kind == "direct"):
            raise PydanticCustomError("name", "name is required, but not of a direct channel")
        return self


class MembersQuery(Input):
    """The query of `GET /api/channels/{id}/members` and `/reads`. `after`: a user id."""

    limit: Limit = 50
    after: GivenId | None = None


class MarkRead(Input):
    """The body of `POST /api/channels/{id}/read`; without `number`: the whole channel."""

    number: Annotated[int, Field(ge=0, le=LARGEST_NUMBER)] | None = None


def decode(data: bytes | str) -> dict[str, Any]:
    """Return the JSON object that `data` spells, its integers exact at any size.

    Raises:
        RequestError: `bad_json`, or `invalid` if it is JSON but no object.
    """
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise RequestError("bad_json", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(
            "invalid", "must be a JSON object", [FieldError("", "must be an object")]
        )
    return value


def parse(model: type[Model], data: bytes | Mapping[str, Any]) -> Model:
    """Return `data`, the text of a JSON object or one decoded before, as a `model`.

    Raises:
        RequestError: `bad_json`, or `invalid` with each wrong field by its name on the wire.
    """
    try:
        if isinstance(data, bytes):
            return model.model_validate_json(data)
        return model.model_validate(data)
    except ValidationError as error:
        raise _request_error(error) from None


_idempotency_key = TypeAdapter(IdempotencyKey)


def check_idempotency_key(value: str) -> str:
    """Return the value of an `Idempotency-Key` header.

    Raises:
        RequestError: `invalid`, it is not 1 to 255 characters, or has control characters.
    """
    try:
        return _idempotency_key.validate_python(value)
    except ValidationError as error:
        message = error.errors(include_url=False, include_input=False)[0]["msg"]
        field = FieldError("Idempotency-Key", message)
        raise RequestError("invalid", f"Idempotency-Key: {message}", [field]) from None


def _request_error(error: ValidationError) -> RequestError:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return RequestError("bad_json", f"the body is not JSON: {found[0]['msg']}")
    errors = [FieldError(_path(item["loc"]), item["msg"]) for item in found[:NAMED_ERRORS]]
    first = errors[0]
    return RequestError("invalid", f"{first.path or 'body'}: {first.message}", errors)


def _path(location: tuple[int | str, ...]) -> str:
    path = ".".join(map(str, location))[:200]
    return path.encode(errors="replace").decode()
