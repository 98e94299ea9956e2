"""The fields that a client may send: their limits, how they are checked, and their JSON Schema."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, StringConstraints
from pydantic_core import PydanticCustomError

from app.ids import GIVEN_ID, MESSAGE_ID, NOTIFICATION_ID

CONTENT_LENGTH: Final = 4000
METADATA_BYTES: Final = 4096
MENTIONS: Final = 50
PAGE_LENGTH: Final = 100
NAME_LENGTH: Final = 100
KEY_LENGTH: Final = 255
MEMBERS: Final = 100
LARGEST_NUMBER: Final = 10**15 - 1
EMOJI: Final = r"[^\s\x00-\x1f\x7f-\x9f]{1,32}"
NOTIFIED_USERS: Final = 100
PRESENCE_USERS: Final = 100

_CONTROL: Final = r"\x00-\x1f\x7f-\x9f"
_SPACE: Final = r"\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What `str.strip` takes away, spelled out: `\\s` is something else in every engine."""
_control = re.compile(f"[{_CONTROL}]")
_surrogate = re.compile("[\ud800-\udfff]")
_emoji = re.compile(EMOJI)
_integer = re.compile("-?[0-9]{1,15}")


def is_display_name(value: str) -> bool:
    """Whether `value` may name a user to others: 1 to 100 code points, no control characters."""
    fits = 0 < len(value) <= NAME_LENGTH and bool(value.strip())
    return fits and _control.search(value) is None and _is_text(value)


def is_emoji(value: str) -> bool:
    """Whether `value` may be a reaction: 1 to 32 code points, no control characters or spaces."""
    return _emoji.fullmatch(value) is not None and _is_text(value)


def _is_text(value: str) -> bool:
    # A header's or a query's stray bytes arrive as lone surrogates, which no encoder takes.
    return value.isascii() or _surrogate.search(value) is None


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
    return int(value) if isinstance(value, str) and _integer.fullmatch(value) else value


def _split(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


def _check_distinct(value: list[str]) -> list[str]:
    if len(set(value)) < len(value):
        raise PydanticCustomError("distinct", "must not name one twice")
    return value


def _matching(pattern: str) -> object:
    # Said in the document only: the check itself is above, and has a message of its own.
    return Field(json_schema_extra={"pattern": pattern})


GivenId = Annotated[str, StringConstraints(pattern=f"^{GIVEN_ID}$")]
MessageId = Annotated[str, StringConstraints(pattern=f"^{MESSAGE_ID}$")]
NotificationId = Annotated[str, StringConstraints(pattern=f"^{NOTIFICATION_ID}$")]
Bound = Annotated[str, StringConstraints(pattern=f"^([0-9]{{1,15}}|{MESSAGE_ID})$")]
Content = Annotated[
    str,
    StringConstraints(min_length=1, max_length=CONTENT_LENGTH),
    AfterValidator(_check_content),
    _matching(rf"^[^\x00]*[^\x00{_SPACE}][^\x00]*$"),
]
DisplayName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_LENGTH),
    AfterValidator(_check_name),
    _matching(rf"^[^{_CONTROL}]*[^{_CONTROL}{_SPACE}][^{_CONTROL}]*$"),
]
IdempotencyKey = Annotated[
    str,
    StringConstraints(min_length=1, max_length=KEY_LENGTH),
    AfterValidator(_check_key),
    _matching(rf"^[^{_CONTROL}]*$"),
]
Emoji = Annotated[str, AfterValidator(_check_emoji), _matching(f"^{EMOJI}$")]
Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(_check_metadata),
    Field(description="At most 4 KB of JSON; integers of at most 64 bits, numbers of a double."),
]
# The limits first: behind a validator that may see anything they are no part of the schema.
Limit = Annotated[int, Field(ge=1, le=PAGE_LENGTH), BeforeValidator(_to_integer)]
Rev = Annotated[int, Field(ge=0, le=LARGEST_NUMBER), BeforeValidator(_to_integer)]
UserIds = Annotated[
    list[GivenId], Field(min_length=1, max_length=PRESENCE_USERS), BeforeValidator(_split)
]
# How many there may be has an error code of its own.
ChannelIds = Annotated[
    list[GivenId],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    BeforeValidator(_split),
    AfterValidator(_check_distinct),
]
Sinces = Annotated[list[str], BeforeValidator(_split)]
