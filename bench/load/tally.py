"""What was sent and what arrived: counted, timed, and checked client by client."""

import re
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_MARKED: Final = re.compile(rb"~(\d{8})~")
MARK_LENGTH: Final = 10
_NO_IDS: Final[list[bytes]] = []


def mark(message: int) -> str:
    """What a message's content begins with, by which its deliveries are known."""
    return f"~{message:08d}~"


class Reader:
    """Finds the marks in what arrives.

    Clients of one channel receive the same bytes, mostly cut alike: they are searched once.
    """

    def __init__(self) -> None:
        self._last_data = b""
        self._last_found = _NO_IDS

    def find(self, data: bytes) -> list[bytes]:
        """Return the marks in `data`, in order."""
        if data == self._last_data:
            return self._last_found
        self._last_data = data
        self._last_found = _MARKED.findall(data)
        return self._last_found


def unfinished(data: bytes) -> bytes:
    """Return the end of `data` if a mark may have been cut there."""
    at = data.find(b"~", -MARK_LENGTH + 1)
    return data[at:] if at >= 0 else b""


class Tally:
    """When each message was sent and accepted; what each channel's clients have to receive."""

    def __init__(self) -> None:
        self.sent_at = array("d")
        self.channel_of = array("l")
        self.poster_of = array("l")
        self.accepted_at: dict[int, float] = {}
        self.post_seconds: list[tuple[float, float]] = []
        """When accepted, and how long it took."""
        self.refused = 0
        self.delivered = 0
        self.first_at = 0.0
        self.last_at = 0.0

    def send(self, channel: int, poster: int) -> int:
        """Note that a message is sent now; return its number."""
        self.sent_at.append(time.perf_counter())
        self.channel_of.append(channel)
        self.poster_of.append(poster)
        return len(self.sent_at) - 1

    def answer(self, message: int, *, is_accepted: bool) -> None:
        """Note that a message was answered."""
        if not is_accepted:
            self.refused += 1
            return
        now = time.perf_counter()
        self.accepted_at[message] = now
        self.post_seconds.append((now, now - self.sent_at[message]))

    def arrive(self, count: int, now: float) -> None:
        """Note that so many messages reached clients."""
        if not self.delivered:
            self.first_at = now
        self.delivered += count
        self.last_at = now


@dataclass(frozen=True, slots=True)
class Verdict:
    """What went wrong, in pairs of a message and a client."""

    lost: int
    doubled: int
    disordered: int


def judge(tally: Tally, received: Sequence[tuple[int, list[list[bytes]]]]) -> Verdict:
    """Compare what each client received (channel and chunks of marks) with what was accepted.

    Order is checked for the accepted messages of one poster, who sends the next after the answer.
    """
    accepted: dict[int, set[int]] = {}
    for message in tally.accepted_at:
        accepted.setdefault(tally.channel_of[message], set()).add(message)
    lost = doubled = disordered = 0
    known: dict[tuple[int, int, bytes], tuple[int, int, int]] = {}
    for channel, chunks in received:
        marks = [found for chunk in chunks for found in chunk]
        joined = b"".join(marks)
        key = (channel, len(marks), joined)
        if key not in known:
            known[key] = _judge_one(tally, accepted.get(channel, set()), marks)
        found = known[key]
        lost, doubled, disordered = lost + found[0], doubled + found[1], disordered + found[2]
    return Verdict(lost, doubled, disordered)


def _judge_one(tally: Tally, wanted: set[int], marks: list[bytes]) -> tuple[int, int, int]:
    messages = [int(found) for found in marks]
    distinct = set(messages)
    last: dict[int, int] = {}
    disordered = 0
    for message in messages:
        if message not in wanted:
            continue  # Its poster was never answered, and has gone on without knowing of it.
        poster = tally.poster_of[message]
        if last.get(poster, -1) > message:
            disordered += 1
        last[poster] = max(message, last.get(poster, -1))
    return len(wanted - distinct), len(messages) - len(distinct), disordered


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which `share` of the values lie; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
