"""Ids: the ones we make (UUIDv7) and the ones we are given (a small alphabet)."""

import re
import secrets
import time
from datetime import datetime
from typing import Final

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


def first_id(time: datetime) -> str:
    """Return what no id that was made at `time`, or later, is below."""
    digits = f"{int(time.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"


_latest = 0
"""The milliseconds and the random bits of the id that was made last."""


def new_id() -> str:
    """Return a UUIDv7, canonical and lower case: 48 bits of Unix milliseconds, 74 random bits.

    The ids of a process ascend, also within a millisecond and when the clock is set back: the next
    is then the last one and a random step. Layout and method: RFC 9562, sections 5.7 and 6.2.
    """
    global _latest  # noqa: PLW0603 - ids ascend in the whole process
    random = secrets.randbits(74)
    fresh = (time.time_ns() // 1_000_000) << 74 | random
    _latest = fresh if fresh >> 74 > _latest >> 74 else _latest + 1 + (random >> 42)
    value = _latest >> 74 << 80 | 0x7 << 76 | (_latest >> 62 & 0xFFF) << 64
    digits = f"{value | 0b10 << 62 | _latest & (1 << 62) - 1:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
