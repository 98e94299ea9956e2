"""One stream on this gateway: where it stands, who follows it, and what may go out next."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.keys import StreamKey
from app.stream_log.cursor import Position, position_of

if TYPE_CHECKING:
    from web.fan_out.connection import Connection


class Stream:
    """A stream's place among its events, and its followers.

    Invariant: `followers` have been given every event up to `seq` of `epoch`, each once, in order.
    `replaying` are being brought to where followers are; only what is in no log reaches them, too.
    `joined` counts both, and those whose beginning is being decided.
    `opening` are those who wait until it is heard; None: it is, or nothing came of it.
    `heard` is the furthest place that was heard of and not given out, while a hole is being filled.
    `moved_tick` and `deserted_tick` are seconds of the sweep: the last event or comparison with
    Redis, and the last leave. `unlogged` counts what was heard that is in no log.
    """

    __slots__ = (
        "arrived",
        "deserted_tick",
        "epoch",
        "followers",
        "heard",
        "joined",
        "key",
        "mending",
        "moved_tick",
        "name",
        "number",
        "opening",
        "replaying",
        "seq",
        "unlogged",
    )

    def __init__(self, key: StreamKey) -> None:
        self.key = key
        self.name = key.live.encode()
        self.epoch = ""
        self.seq = 0
        self.number = 0
        self.followers: set[Connection] = set()
        # Mostly empty, and there are many streams: an empty set takes three times the memory.
        self.replaying: dict[Connection, None] = {}
        self.joined = 0
        self.heard: tuple[str, int] | None = None
        self.arrived: list[bytes] = []
        self.opening: list[asyncio.Future[None]] | None = None
        self.mending: asyncio.Task[None] | None = None
        self.moved_tick = 0
        self.deserted_tick = 0
        self.unlogged = 0

    @property
    def position(self) -> Position:
        """Where its followers are."""
        return Position(self.epoch, self.seq, self.number)

    @property
    def is_behind(self) -> bool:
        """Whether something was heard that has not been given out."""
        heard = self.heard
        return heard is not None and (heard[0] != self.epoch or heard[1] > self.seq)

    def reaches(self, position: Position) -> bool:
        """Whether `position` is one of this epoch, at or before where followers are."""
        return position.epoch == self.epoch and position.seq <= self.seq

    def place(self, position: Position) -> None:
        """Go to where the stream really is, whatever lies between."""
        self.epoch, self.seq, self.number = position.epoch, position.seq, position.number

    def accept(self, epoch: str, first_seq: int, payloads: Sequence[bytes]) -> Sequence[bytes]:
        """Return what of a published batch goes out now, and move on past it.

        What was given out before is dropped. What does not follow (a hole, another epoch, a hole
        being filled) is only noted as `heard`: the log has it.
        """
        last = first_seq + len(payloads) - 1
        if self.mending is not None or epoch != self.epoch or first_seq > self.seq + 1:
            if self.heard is None or self.heard[0] != epoch or self.heard[1] < last:
                self.heard = (epoch, last)
            return ()
        return self.advance(payloads[self.seq + 1 - first_seq :])

    def advance(self, payloads: Sequence[bytes]) -> Sequence[bytes]:
        """Move on past payloads that follow; return them."""
        if payloads:
            self.seq += len(payloads)
            self.number = position_of(payloads[-1]).number
        return payloads
