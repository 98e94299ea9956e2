"""Trace context: the `traceparent` that a request brings travels with its records.

Format: W3C Trace Context, version 00.
"""

import random
import re

_traceparent = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(header: str | None) -> str:
    """Return `header` if it is a valid `traceparent`, else a new, unsampled one."""
    if header is not None and _traceparent.fullmatch(header):
        return header
    # Told apart, not kept secret: no system call for it.
    ids = f"{random.getrandbits(192):048x}"
    return f"00-{ids[:32]}-{ids[32:]}-00"
