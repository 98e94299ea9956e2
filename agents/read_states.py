"""What a batch's records do to the read states of users: a fold, forward only.

Pure. A state whose position is at or above a record's has seen it: delivered again, a record has no
effect. Each message touches its sender and whom it names, however many members a channel has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from app.stream_log.log import Source
from tables.read_state import Key, ReadState

MOST_MENTIONS: Final = 100
"""Unread mentions counted; a client shows `99+`."""


@dataclass(frozen=True, slots=True)
class UserEvent:
    """An event of a user's own stream, and the offset of the record that it comes from."""

    offset: int
    user_id: str
    type: Literal["channel_read", "member_joined", "member_left"]
    data: dict[str, str | int]


class ReadStates:
    """The read states that a batch touches: each is found once, and changed in memory.

    `changed` is what the table must be given afterwards, `events` what users are to be told.
    `implied` are the members that messages made, `left` who has left, each with the offset of the
    last record that says so; also of records that are delivered again, since MongoDB may have lost
    what came of them.
    """

    def __init__(self, source: Source, find: Callable[[Key], ReadState | None]) -> None:
        self._source = source
        self._find = find
        self._found: dict[Key, ReadState | None] = {}
        self.changed: dict[Key, ReadState] = {}
        self.events: list[UserEvent] = []
        self.implied: dict[Key, int] = {}
        self.left: dict[Key, int] = {}

    def send(
        self,
        offset: int,
        channel_id: str,
        sender_id: str,
        number: int,
        *,
        is_open: bool,
        is_deleted: bool = False,
    ) -> None:
        """A message: its sender, who becomes a member if the channel is open, has read up to it."""
        key = channel_id, sender_id
        state = self.get(key)
        if self._has_seen(state, offset):
            self._imply_again(offset, key, state)
        elif state is None or state.left:
            if is_open:
                self._enter(offset, key, read=number, by=sender_id)
                self.implied[key] = offset
        else:
            had_mentions = bool(state.mentions)
            self._mark(offset, key, state, number)
            if had_mentions or is_deleted:
                # Only then: that they have read it, their own message tells them. A tombstone says
                # neither whose it is nor whom it names.
                self._tell_read(offset, key, state, number)

    def mention(
        self,
        offset: int,
        channel_id: str,
        user_id: str,
        number: int,
        by: str,
        *,
        is_open: bool,
        is_deleted: bool = False,
    ) -> None:
        """A message names a user, who becomes a member if the channel is open."""
        key = channel_id, user_id
        state = self.get(key)
        if self._has_seen(state, offset):
            self._imply_again(offset, key, state)
        elif state is None or state.left:
            if is_open:
                self._enter(offset, key, read=number - 1, by=by).mentions = [number]
                self.implied[key] = offset
        elif number > state.read:
            state.mentions = [*state.mentions, number][-MOST_MENTIONS:]
            self._change(offset, key, state)
            if is_deleted:
                self._tell_read(offset, key, state, number)

    def read(self, offset: int, channel_id: str, user_id: str, number: int, newest: int) -> None:
        """A member has read a channel, whose newest message is `newest`, up to `number`."""
        key = channel_id, user_id
        state = self.get(key)
        if state is None or state.left or self._has_seen(state, offset):
            return
        number = min(number, newest)
        if number > state.read:
            self._mark(offset, key, state, number)
            self._tell_read(offset, key, state, newest)

    def join(self, offset: int, channel_id: str, user_id: str, by: str, newest: int) -> None:
        """A user becomes a member; what is in the channel up to `newest` is not new to them."""
        key = channel_id, user_id
        state = self.get(key)
        if not self._has_seen(state, offset) and (state is None or state.left):
            self._enter(offset, key, read=newest, by=by)

    def leave(self, offset: int, channel_id: str, user_id: str, by: str) -> None:
        """A user is no member any more."""
        key = channel_id, user_id
        state = self.get(key)
        self.left[key] = offset
        if state is None or state.left or self._has_seen(state, offset):
            return
        state.left, state.mentions = True, []
        self._change(offset, key, state)
        data: dict[str, str | int] = {"channelId": channel_id, "by": by}
        self.events.append(UserEvent(offset, user_id, "member_left", data))

    def get(self, key: Key) -> ReadState | None:
        """Return a state as the records so far have left it."""
        if key not in self._found:
            self._found[key] = self._find(key)
        return self._found[key]

    def _has_seen(self, state: ReadState | None, offset: int) -> bool:
        if state is None:
            return False
        incarnation, partition, seen = state.position
        return (
            bool(incarnation == self._source.incarnation and partition == self._source.partition)
            and offset <= seen
        )

    def _imply_again(self, offset: int, key: Key, state: ReadState | None) -> None:
        if state is not None and not state.left:
            self.implied[key] = offset

    def _enter(self, offset: int, key: Key, *, read: int, by: str) -> ReadState:
        state = self._found[key] = ReadState(read=read, mentions=[], position=[])
        self._change(offset, key, state)
        data: dict[str, str | int] = {"channelId": key[0], "by": by}
        self.events.append(UserEvent(offset, key[1], "member_joined", data))
        return state

    def _mark(self, offset: int, key: Key, state: ReadState, number: int) -> None:
        state.read = max(state.read, number)
        if state.mentions:
            state.mentions = [mention for mention in state.mentions if mention > state.read]
        self._change(offset, key, state)

    def _tell_read(self, offset: int, key: Key, state: ReadState, newest: int) -> None:
        data: dict[str, str | int] = {
            "channelId": key[0],
            "number": state.read,
            "unread": max(0, newest - state.read),
            "mentions": len(state.mentions),
        }
        self.events.append(UserEvent(offset, key[1], "channel_read", data))

    def _change(self, offset: int, key: Key, state: ReadState) -> None:
        state.position = [self._source.incarnation, self._source.partition, offset]
        self.changed[key] = state
