"""What one client has been given of one stream, and whether that was right.

A view believes nothing but frames and answers. Every event must follow the one before it: its seq,
and a message's number, are one more. What the contract lets a client reload is reloaded.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.stream_log.cursor import Cursor, Position
from tests.chaos.tally import Tally

Frame = Mapping[str, Any]
UPDATES = ("message_updated", "message_deleted")
REACTIONS = ("reaction_added", "reaction_removed")


@dataclass(slots=True)
class Known:
    """A message as a client knows it; `body` None: deleted."""

    rev: int
    number: int
    body: str | None


class View:
    """One client's view of a channel, or of its user's own stream (`channel_id` "")."""

    def __init__(self, owner: str, channel_id: str, tally: Tally) -> None:
        self.name = f"{owner} {channel_id or 'own'}"
        self.channel_id = channel_id
        self.messages: dict[str, Known] = {}
        self.position: Position | None = None
        self.cursor: str | None = None
        """What to resume from."""
        self.is_live = False
        self.wants_reload = False
        self.want_reload: Callable[[], None] = lambda: None
        self.events: Counter[tuple[str, str]] = Counter()
        """Events by message and kind, since something else than the log brought us here."""
        self._tally = tally
        self._history_from: int | None = None
        self._history_number = 0
        self._since_reload: set[str] = set()
        self._is_reloading = False
        self._chain_number = 0
        """Every message above this number must have come before anything else of it."""

    # Where the stream begins

    def begin(self, frame: Frame, since: str | None) -> None:
        """`joined` or `resumed`, in answer to the cursor `since`."""
        given = _position(frame["cursor"])
        was = None if since is None else _position(since)
        verdict = frame.get("recovered")
        self._history_from = None
        if verdict == "log":
            self._tally.by_log += 1
            if was is None or (given.epoch, given.seq) != (was.epoch, was.seq):
                self._complain("gap", f"log from {given}, asked from {was}")
            self._go_to(given)
        elif verdict == "history":
            self._tally.by_history += 1
            if given != was:
                self._complain("gap", f"history from {given}, asked from {was}")
            self._go_to(given)
            self.events.clear()
            self._history_from = self._history_number = given.number
        elif verdict is False or since is None:
            self._tally.by_reload += verdict is False
            self._start_anew(given)
        else:
            self._complain("gap", f"no verdict for {since}: {dict(frame)}")
        self.is_live = True

    def resync(self, frame: Frame) -> None:
        """The server says that we missed something: reload, and go on from there."""
        self._tally.resynced += 1
        self._history_from = None
        self._start_anew(_position(frame["cursor"]))
        self.is_live = True

    def _start_anew(self, position: Position) -> None:
        self._go_to(position)
        self._chain_number = position.number
        self.events.clear()
        self._since_reload.clear()
        if self.channel_id:
            self.wants_reload = self._is_reloading = True
            self.want_reload()

    def _go_to(self, position: Position) -> None:
        self.position = position

    def disconnect(self) -> None:
        """Nothing comes until we are let in again."""
        self.is_live = False

    # What it brings

    def event(self, frame: Frame) -> None:
        """A logged event."""
        position, at = self.position, _position(frame["cursor"])
        kind, data = frame["type"], frame["data"]
        if position is None or not self.is_live:
            self._complain("out_of_order", f"{kind} before we were let in")
            return
        if self._history_from is not None:
            self._complain("out_of_order", f"{kind} {at} during history")
        if at.epoch != position.epoch or at.seq != frame["seq"]:
            self._complain("gap", f"{at} after {position}")
        elif at.seq <= position.seq:
            self._complain("doubled", f"{kind} {at} after {position}")
            return
        elif at.seq > position.seq + 1:
            self._complain("gap", f"{at} after {position}")
        self._go_to(at)
        self._tally.delivered += 1
        if self.channel_id:
            self._take_event(kind, data, position)

    def _take_event(self, kind: str, data: Frame, before: Position) -> None:
        message = data["message"] if kind in REACTIONS else data
        number = message["number"]
        if kind == "message":
            if number <= before.number:
                order = "doubled" if message["id"] in self.messages else "out_of_order"
                self._complain(order, f"number {number} after {before}")
            elif number > before.number + 1:
                self._complain("gap", f"number {number} after {before}")
        elif message["id"] not in self.messages and number > self._chain_number:
            self._complain("out_of_order", f"{kind} of number {number} before its message")
        group = "reactions" if kind in REACTIONS else "updates" if kind in UPDATES else "message"
        self.events[message["id"], group] += 1
        self._since_reload.add(message["id"])
        self._apply(message)

    def history(self, frame: Frame) -> None:
        """A page of what the log does not have any more."""
        if self._history_from is None:
            self._complain("out_of_order", "a history page that was not announced")
            return
        for message in frame["messages"]:
            if message["number"] > self._history_from:
                if message["number"] != self._history_number + 1:
                    detail = f"history has {message['number']} after {self._history_number}"
                    self._complain("gap", detail)
                self._history_number = message["number"]
            self._since_reload.add(message["id"])
            self._apply(message)
            self._tally.delivered += 1
        if not frame["more"]:
            target = _position(frame["cursor"])
            if target.number != self._history_number:
                detail = f"history ends at {self._history_number}, not at {target}"
                self._complain("gap", detail)
            self._history_from = None
            self._go_to(target)

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is on its way but what happens from now on."""
        return self.is_live and self._history_from is None and not self._is_reloading

    def save(self, cursor: str) -> None:
        """This is where we would come back to."""
        # A history that is not complete is begun again.
        if self._history_from is None:
            self.cursor = cursor

    def check_saved(self, position: Position) -> None:
        """An event stream's id says that we are at `position`."""
        if self.position is not None and position != self.position:
            self._complain("gap", f"the id says {position}, we are at {self.position}")

    # Reload

    def begin_reload(self) -> frozenset[str]:
        """What was known before a reload; it is the reload's to say whether it is there still."""
        self.wants_reload = False
        self._since_reload.clear()
        return frozenset(self.messages)

    def end_reload(self, before: frozenset[str], messages: Iterable[Frame]) -> None:
        """Everything that REST has of the channel."""
        self._tally.reloads += 1
        found = set()
        for message in messages:
            found.add(message["id"])
            self._tally.delivered += message["id"] not in self.messages
            self._apply(message)
        for message_id in before - found - self._since_reload:
            known = self.messages[message_id]
            # Deleted, or to come again as an event.
            self.messages[message_id] = Known(0, known.number, None)
        self._is_reloading = self.wants_reload

    def _apply(self, message: Frame) -> None:
        known = self.messages.get(message["id"])
        if known is not None and known.number != message["number"]:
            detail = f"message {message['id']} has number {message['number']}, had {known.number}"
            self._complain("out_of_order", detail)
        if known is None or message["rev"] > known.rev:
            body = None if message.get("deleted") else canonical(message)
            self.messages[message["id"]] = Known(message["rev"], message["number"], body)

    @property
    def alive(self) -> dict[str, str]:
        """The messages that are there, by id."""
        return {key: known.body for key, known in self.messages.items() if known.body is not None}

    def _complain(self, kind: str, detail: str) -> None:
        self._tally.complain(kind, f"{self.name}: {detail}")


def canonical(message: Frame) -> str:
    """A message's text, whatever the order of its fields."""
    return json.dumps(message, sort_keys=True, ensure_ascii=False)


def _position(cursor: str) -> Position:
    parsed = Cursor.parse(cursor)
    assert parsed is not None, cursor
    return parsed.position
