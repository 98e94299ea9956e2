"""The rules of sessions: what a record makes of a user's sessions in a channel, and when one ends.

Pure. A session is one connection's join of one channel; a user is active while one of theirs lives.
Of those that are closing only the last is kept, and of all only the last thousand: an entry that
grew with every connection would in the end be larger than Kafka takes.
Whatever is delivered again, once all of it has come the sessions are those of each record applied
once: a user's entry remembers the last record that changed it, and where there is no entry left,
the records that removed it come again behind those that made it.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from app.records import SessionClosing, SessionEvent, SessionExpired, UserJoined, UserLeft
from tables.positions import Position

CLOSING_MS: Final = 10_000
"""A connection that ended is given so long to come back unnoticed."""

MOST_SESSIONS: Final = 1000
"""So many of a user's last sessions in a channel are kept; one is some 70 bytes."""


class Session(NamedTuple):
    """Where a session's connection is, and until when it lasts in Unix ms; 0: as long as the
    lease of its gateway."""

    gateway_id: str
    expires_ms: int

    def is_over(self, dead_gateways: Container[str], now_ms: int) -> bool:
        """Whether its time is past, or its gateway is dead."""
        if self.expires_ms:
            return self.expires_ms <= now_ms
        return self.gateway_id in dead_gateways


@dataclass(frozen=True, slots=True)
class Active:
    """A user who is in a channel: their sessions by id, and the last record that changed them."""

    name: str
    sessions: Mapping[str, Session]
    position: Position


def apply(
    held: Active | None, event: SessionEvent, position: Position, now_ms: int
) -> Active | None:
    """Return what `event`, the record at `position`, makes of a user; None: not in the channel.

    `now_ms` is the worker's own clock, since gateways' may differ from it.
    """
    if held is not None and not (held.position.is_before(position) or _is_foreign(held, position)):
        return held  # Delivered again.
    sessions = {} if held is None else dict(held.sessions)
    name = event.user_name if held is None else held.name
    if isinstance(event, UserJoined):
        sessions[event.session_id] = Session(event.gateway_id, 0)
        if len(sessions) > MOST_SESSIONS:
            del sessions[next(iter(sessions))]
        name = event.user_name
    elif isinstance(event, UserLeft):
        sessions.pop(event.session_id, None)
    elif isinstance(event, SessionClosing) and sessions:
        # The last that closed is the last to be over. Kept whether or not it is known: what comes
        # again, without the records before it, must not stop at one that closed earlier.
        sessions = {key: each for key, each in sessions.items() if not each.expires_ms}
        sessions[event.session_id] = Session(event.gateway_id, now_ms + CLOSING_MS)
    elif isinstance(event, SessionExpired):
        session = sessions.get(event.session_id)
        # A gateway that was taken for dead joins its sessions again under a new lease.
        if session is not None and session.gateway_id == event.gateway_id:
            del sessions[event.session_id]
    if not sessions:
        return None
    if held is not None and sessions == held.sessions and name == held.name:
        return replace(held, position=position)
    return Active(name, sessions, position)


def _is_foreign(held: Active, position: Position) -> bool:
    # Of another incarnation of the topic: nothing tells which is later, but that it comes later.
    return held.position[:2] != position[:2]
