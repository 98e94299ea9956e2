"""Ids: the ones we make (UUIDv7) and the ones we are given (a small alphabet)."""

import re
import secrets
import time
from typing import Final
from uuid import UUID

GIVEN_ID: Final = r"[A-Za-z0-9_.:-]{1,64}"
MESSAGE_ID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
NOTIFICATION_ID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[57][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
"""Version 7 if we made it, 5 if it was made from what it is about."""

_given_id = re.compile(GIVEN_ID)
_message_id = re.compile(MESSAGE_ID)


def is_given_id(value: str) -> bool:
    """Whether `value` may name a channel, a user or a server."""
    return _given_id.fullmatch(value) is not None


def is_message_id(value: str) -> bool:
    """Whether `value` has the form of an id made by `new_id`."""
    return _message_id.fullmatch(value) is not None


def new_id() -> str:
    """Return a UUIDv7, canonical and lower case: 48 bits of Unix milliseconds, 74 random bits.

    Layout: RFC 9562, section 5.7.
    """
    random = secrets.randbits(74)
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return str(UUID(int=value))
