"""A client written from docs/protocol.md alone: what it makes of events and of REST's answers.

Section "What a client makes of it" there, rule by rule. It asks by `ask`, and is given an answer at
any later time: what has come meanwhile must not be undone by it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

Json = Any
MOST_MENTIONS: Final = 100
Ask = Callable[[str, int], None]
"""Asks for "messages:<channelId>", "unread" or "notifications", under a number of its own."""


@dataclass
class Counts:
    """How far its user has read a channel of theirs, when its newest message was `newest`."""

    read: int
    newest: int
    mentions: int


@dataclass
class ChannelState:
    """What a client knows of a channel that it follows."""

    messages: dict[str, Json] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    count: int = 0
    number: int = 0
    own: int = 0
    """The newest number of a message of its user's: who answers has read."""
    naming: set[int] = field(default_factory=set)
    """Numbers of the messages that name its user."""
    stale: set[str] | None = None
    """What a reload that is under way has not confirmed yet."""
    reload: int = 0


class ReferenceClient:
    """One user's client."""

    def __init__(self, user_id: str, ask: Ask) -> None:
        self.user_id = user_id
        self.channels: dict[str, ChannelState] = {}
        self.member_of: set[str] = set()
        self.counts: dict[str, Counts] = {}
        self.notifications: dict[str, Json] = {}
        self.unread_notifications = 0
        self._ask = ask
        self._asked = 0
        self._membership_changed: dict[str, int] = {}
        self._unread_asked = self._notifications_asked = 0
        self._events_since_ask: list[Json] = []

    # Asking

    def _next(self, what: str) -> int:
        self._asked += 1
        self._ask(what, self._asked)
        return self._asked

    def _ask_unread(self) -> None:
        self._unread_asked = self._next("unread")

    def _reload_user(self) -> None:
        self._ask_unread()
        self._events_since_ask = []
        self._notifications_asked = self._next("notifications")

    def _reload_channel(self, channel_id: str) -> None:
        channel = self.channels[channel_id]
        channel.stale = set(channel.messages)
        channel.reload = self._next(f"messages:{channel_id}")
        # What was missed may have moved the counts, too.
        self._ask_unread()

    def answer(self, what: str, number: int, body: Json) -> None:
        """Take REST's answer to what was asked."""
        if what == "unread" and number == self._unread_asked:
            self._take_unread(number, body)
        elif what == "notifications" and number == self._notifications_asked:
            self.notifications = {item["id"]: item for item in body["items"]}
            self.unread_notifications = body["unread"]
            # The page may be older or newer than what has come: events say it again, in order.
            for event in self._events_since_ask:
                self._apply_notification(event)
        elif what.startswith("messages:"):
            channel = self.channels[what.partition(":")[2]]
            if number == channel.reload:
                self._take_messages(channel, body["items"])

    def _take_messages(self, channel: ChannelState, items: list[Json]) -> None:
        for message in items:
            self._apply_message(channel, message)
        for message_id in channel.stale or ():
            del channel.messages[message_id]
        channel.stale = None

    def _take_unread(self, number: int, body: Json) -> None:
        found = {each["channelId"]: each for each in body["channels"]}
        for channel_id, each in found.items():
            self._count(channel_id, each["read"], each["number"], each["mentions"])
        # An answer knows nothing of memberships that began or ended after it was asked for.
        changed = {c for c, asked in self._membership_changed.items() if asked >= number}
        self.member_of = (self.member_of & changed) | (found.keys() - changed)

    # Frames

    def frame(self, frame: Json) -> None:
        """Take a frame that is no answer to an op, or `joined` and `resumed`."""
        kind, data = frame["type"], frame.get("data")
        if kind == "hello" and not self._asked:
            self.unread_notifications = frame["notifications"]
            self._reload_user()
        elif kind == "resumed" and frame["recovered"] is False:
            self._reload_user()
        elif kind == "joined":
            channel = self.channels.setdefault(frame["channelId"], ChannelState())
            channel.people = {it["userId"]: it["userName"] for it in frame["activeUsers"]}
            channel.count = frame["activeCount"]
            if not frame.get("recovered"):
                self._reload_channel(frame["channelId"])
        elif kind == "resync" and "channelId" in frame:
            self._reload_channel(frame["channelId"])
        elif kind == "resync":
            self._reload_user()
        elif "userId" in frame:
            self._apply_own(kind, data)
        elif "channelId" in frame:
            self._apply(frame["channelId"], kind, data, frame.get("messages", ()))

    def _apply(self, channel_id: str, kind: str, data: Json, pages: Any) -> None:
        channel = self.channels[channel_id]
        for message in pages:
            self._apply_new(channel_id, message)
        if kind == "message":
            self._apply_new(channel_id, data)
        elif kind in ("message_updated", "message_deleted"):
            self._apply_message(channel, data)
        elif kind in ("reaction_added", "reaction_removed"):
            self._apply_message(channel, data["message"])
        elif kind == "user_joined":
            channel.people[data["userId"]] = data["userName"]
            channel.count = len(channel.people)
        elif kind == "user_left":
            channel.people.pop(data["userId"], None)
            channel.count = len(channel.people)
        elif kind == "presence":
            channel.people |= {it["userId"]: it["userName"] for it in data["joined"]}
            for user_id in data["left"]:
                channel.people.pop(user_id, None)
            channel.count = data["count"]

    def _apply_new(self, channel_id: str, message: Json) -> None:
        channel = self.channels[channel_id]
        self._apply_message(channel, message)
        number = message["number"]
        channel.number = max(channel.number, number)
        if message.get("senderId") == self.user_id:
            channel.own = max(channel.own, number)
        elif self.user_id in message.get("mentions", ()):
            channel.naming.add(number)

    def _apply_message(self, channel: ChannelState, message: Json) -> None:
        known = channel.messages.get(message["id"])
        if channel.stale is not None:
            channel.stale.discard(message["id"])
        if known is None or message["rev"] > known["rev"]:
            channel.messages[message["id"]] = message

    # The user's own stream

    def _apply_own(self, kind: str, data: Json) -> None:
        if kind in ("notification", "notifications_read"):
            event = (kind, data)
            self._events_since_ask.append(event)
            self._apply_notification(event)
        elif kind == "channel_read":
            newest = data["number"] + data["unread"]
            self._count(data["channelId"], data["number"], newest, data["mentions"])
        elif kind == "member_joined":
            self._membership_changed[data["channelId"]] = self._asked
            self._ask_unread()
        elif kind == "member_left":
            self._membership_changed[data["channelId"]] = self._asked
            self.member_of.discard(data["channelId"])

    def _apply_notification(self, event: Json) -> None:
        kind, data = event
        self.unread_notifications = data["unread"]
        if kind == "notification":
            item = {name: value for name, value in data.items() if name != "unread"}
            self.notifications[item["id"]] = item
            return
        for notification_id in list(self.notifications) if data["ids"] is None else data["ids"]:
            if notification_id in self.notifications:
                item = self.notifications[notification_id]
                self.notifications[notification_id] = {**item, "readAt": item["readAt"] or "now"}

    def _count(self, channel_id: str, read: int, newest: int, mentions: int) -> None:
        """Take what is said of a channel at the moment when `newest` was its newest message."""
        held = self.counts.get(channel_id)
        if held is None or (held.read, held.newest) < (read, newest):
            self.counts[channel_id] = Counts(read, newest, mentions)

    # What it shows

    @property
    def shown(self) -> Json:
        """Everything, in the form in which REST has it."""
        return {
            "messages": {
                channel_id: sorted(
                    (m for m in channel.messages.values() if not m.get("deleted")),
                    key=lambda message: -message["number"],
                )
                for channel_id, channel in self.channels.items()
            },
            "active": {
                channel_id: {"users": dict(sorted(channel.people.items())), "count": channel.count}
                for channel_id, channel in self.channels.items()
            },
            "unread": {
                channel_id: self._unread_of(channel_id) for channel_id in sorted(self.member_of)
            },
            "notifications": {
                "unread": self.unread_notifications,
                "items": [
                    {**item, "readAt": item["readAt"] is not None}
                    for item in sorted(
                        self.notifications.values(),
                        key=lambda item: (item["createdAt"], item["id"]),
                        reverse=True,
                    )
                ],
            },
        }

    def _unread_of(self, channel_id: str) -> Json:
        channel, counts = self.channels[channel_id], self.counts[channel_id]
        number = max(counts.newest, channel.number)
        read = max(counts.read, channel.own)
        counted = counts.mentions if read == counts.read else 0
        later = sum(n > max(counts.newest, read) for n in channel.naming)
        return {
            "read": read,
            "number": number,
            "unread": max(0, number - read),
            "mentions": min(MOST_MENTIONS, counted + later),
        }
