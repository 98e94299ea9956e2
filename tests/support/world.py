"""Hubbub without Kafka and sockets: the real archive, rules and stream log, driven step by step.

Topics are lists, tables are dictionaries; a batch is cut, repeated or lost as it is told.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Final, cast

import orjson
from redis.asyncio import Redis

from agents.active_lists import ActiveLists
from agents.activity import ActivityRule
from agents.deps import Deps
from agents.messages import MessagesRule
from agents.notices import Change, Notices
from agents.notifications import NotificationsRule
from agents.reactions import ReactionsRule
from agents.rosters import Rosters
from app.announcements import (
    encode_active_users_wanted,
    encode_membership,
    encode_notification,
    encode_notifications_read,
    encode_read,
    encode_session,
)
from app.archive.channels import PRIVATE, Channels, NewChannel
from app.archive.documents import Document, render
from app.archive.history import History
from app.archive.marks import Marks
from app.archive.members import Members
from app.archive.messages import Draft, Messages
from app.archive.notifications import Notifications, render_notification
from app.archive.reactions import Reactions
from app.archive.shown_reactions import Wish
from app.clients import Database
from app.ids import new_id
from app.keys import StreamKey, channel_stream
from app.outgoing import Reacted, encode_change, encode_reaction, kind_of
from app.records import decode
from app.stream_log.log import Source, StreamLog
from app.streaming.application import Application
from app.streaming.lease import Lease
from app.streaming.work import Received, Rule, Work
from app.topics import MESSAGES, NOTIFICATIONS, REACTIONS, USER_ACTIVITY, Topic
from tables.active_users import ActiveUser
from tables.notification_state import NotificationState
from tables.readers import read_channels, read_notification_count
from web.active_users import ActiveUsers
from web.fan_out.hub import Hub

Json = Any
INCARNATION: Final = "aaaaaaaa"
TOPICS: Final = (MESSAGES, USER_ACTIVITY, REACTIONS, NOTIFICATIONS)


class Table:
    """A Faust table as a rule sees it, kept as its changelog would have it."""

    def __init__(self, value_type: Any) -> None:
        self._value_type = value_type
        self.entries: dict[bytes, bytes] = {}
        self.data = self

    def hold(self, _: int) -> Any:
        """The one partition there is."""
        return SimpleNamespace(data=self.entries)

    def get(self, key: Any) -> Any:
        """A value of its own for everybody who asks."""
        value = self.entries.get(orjson.dumps(key))
        return None if value is None else self._value_type(**orjson.loads(value))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[orjson.dumps(key)] = orjson.dumps(value.asdict())

    def __delitem__(self, key: Any) -> None:
        del self.entries[orjson.dumps(key)]

    async def settle(self) -> None:
        """The changelog has everything at once."""


class Crier:
    """Tells channels of their users as the herald does, by the world's own clock."""

    def __init__(self) -> None:
        self.told: defaultdict[str, list[bytes]] = defaultdict(list)
        self._notices = Notices()
        self._now = 0.0

    async def tell(
        self, changes: Mapping[str, Iterable[Change]], counts: Mapping[str, int]
    ) -> None:
        """Tell of changes, or keep them for the end of the second."""
        for channel_id, changed in changes.items():
            for change in changed:
                frame = self._notices.add(channel_id, change, counts[channel_id], self._now)
                if frame is not None:
                    self.told[channel_id].append(frame)

    async def publish(self, frames: Iterable[tuple[str, bytes]]) -> None:
        """Tell channels something at once."""
        for channel_id, frame in frames:
            self.told[channel_id].append(frame)

    async def pass_time(self) -> None:
        """Let a second end."""
        self._now += 1.5
        await self.publish(self._notices.due(self._now))


class World:
    """One run: channels and users of its own. Everything is in partition 0."""

    def __init__(self, database: Database, redis: Redis) -> None:
        name = new_id()[-12:]
        self.open, self.private = f"{name}:open", f"{name}:private"
        self.channels = (self.open, self.private)
        self.users = tuple(f"{name}:{user}" for user in ("ann", "bob", "cat"))
        self.redis = redis
        self.archive, self.reactions = Messages(database), Reactions(database)
        self.history, self.notifications = History(database), Notifications(database)
        self.members, self._channels = Members(database), Channels(database)
        self.documents = database["messages"]
        self.log = StreamLog(redis, self._highest)
        self.crier = Crier()
        self.records: dict[Topic, list[tuple[str, bytes]]] = {topic: [] for topic in TOPICS}
        self.done = dict.fromkeys(TOPICS, 0)
        self._active = ActiveUsers(redis, cast("Hub", None))
        self._tables: dict[str, Table] = {}
        self._rules = self._make_rules(Marks(database))

    async def _highest(self, stream: StreamKey) -> int:
        return await self.archive.highest_number(stream.id) if stream.kind == "channel" else 0

    def _make_rules(self, marks: Marks) -> dict[Topic, Rule[Any]]:
        deps = Deps(
            marks, self.log, self.redis, "world", self._channels, self.members, self.notifications
        )
        app = cast(
            "Application",
            SimpleNamespace(
                Table=lambda name, value_type, **_: self._table(name, value_type),
                conf=SimpleNamespace(topic_partitions=1),
                producer=SimpleNamespace(send=self._produce),
                consumer_generation_id=1,
                source=USER_ACTIVITY,
            ),
        )
        active_users = self._table("active_users", ActiveUser)
        rosters = Rosters(app, active_users)
        crier = cast("Any", self.crier)
        return {
            MESSAGES: MessagesRule(app, deps),
            REACTIONS: ReactionsRule(deps),
            NOTIFICATIONS: NotificationsRule(
                deps, self._table("notification_state", NotificationState)
            ),
            USER_ACTIVITY: ActivityRule(rosters, ActiveLists(self.redis), crier, active_users),
        }

    def _table(self, name: str, value_type: Any) -> Table:
        return self._tables.setdefault(name, Table(value_type))

    async def _produce(self, topic: str, key: bytes, value: bytes, *_: Any) -> Any:
        self.publish(next(each for each in TOPICS if each.name == topic), key.decode(), value)
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged

    def publish(self, topic: Topic, key: str, value: bytes) -> None:
        """Add a record to a topic."""
        self.records[topic].append((key, value))

    async def begin(self) -> None:
        """Make the channels."""
        await self._channels.ensure([self.open])
        wanted = NewChannel(self.private, PRIVATE, "Private", None, self.users[0])
        await self._channels.create(wanted)
        for user in self.users[:2]:
            self.join(user, self.private)

    async def end(self) -> None:
        """Close what was opened."""
        await self.log.close()

    # What gateways do

    async def post(self, user: str, channel: str, text: str, names: list[str]) -> Document:
        """Accept a message; nothing is published."""
        draft = Draft(channel, user, user.title(), text, None, tuple(names))
        document, _ = await self.archive.insert(draft)
        return document

    async def messages_of(self, channel: str) -> list[Document]:
        """Every message of a channel, the oldest first."""
        return await self.documents.find({"channelId": channel}).sort("_id", 1).to_list(None)

    def publish_change(self, document: Document | None) -> None:
        """Publish a message's last change, as a gateway does if it has a number."""
        if document is None:
            return
        kind = kind_of(document)
        if kind != "message_created" or document["rev"] == 1:
            self.publish(MESSAGES, document["channelId"], encode_change(kind, document))

    async def react(self, user: str, message_id: str, emoji: str, *, is_wanted: bool) -> None:
        """Add or take back a reaction."""
        found = await self.reactions.change(message_id, Wish(emoji, user, is_wanted))
        if found is not None and found.rev is not None and found.message.get("number"):
            kind = "reaction_added" if is_wanted else "reaction_removed"
            value = encode_reaction(Reacted(kind, emoji, user, found.rev), found.message)
            self.publish(REACTIONS, found.message["channelId"], value)

    def join(self, user: str, channel: str) -> None:
        """Make somebody a member."""
        value = encode_membership("member_joined", channel, user, self.users[0])
        self.publish(MESSAGES, channel, value)

    def leave(self, user: str, channel: str) -> None:
        """End a membership."""
        self.publish(MESSAGES, channel, encode_membership("member_left", channel, user, user))

    async def read(self, user: str, channel: str, below: int) -> None:
        """Mark a channel as read, up to `below` under the newest message."""
        number = await self.archive.highest_number(channel) - below
        if number > 0:
            self.publish(MESSAGES, channel, encode_read(channel, user, number))

    def tell_session(self, kind: str, user: str, name: str, channel: str, session: str) -> None:
        """A connection's join of a channel begins, or is ending, or is over."""
        value = encode_session(
            kind, channel, user_id=user, user_name=name, session_id=session, gateway_id="g"
        )
        self.publish(USER_ACTIVITY, channel, value)

    def want_active_users(self, channel: str) -> None:
        """Have a channel's list written anew."""
        self.publish(USER_ACTIVITY, channel, encode_active_users_wanted(channel))

    def notify(self, user: str) -> None:
        """Tell a user something."""
        self.publish(NOTIFICATIONS, user, encode_notification(new_id(), user, "note", {"a": 1}))

    def read_notifications(self, user: str, ids: list[str] | None) -> None:
        """Mark a user's notifications as read."""
        self.publish(NOTIFICATIONS, user, encode_notifications_read(user, ids))

    # What agents do

    async def work(
        self, topic: Topic, count: int, *, again: int = 0, is_cut_off: bool = False
    ) -> None:
        """Let an agent take a batch of `count` records, with `again` before it delivered again.

        `is_cut_off`: it dies before its table writes and offsets are safe.
        """
        begin = max(0, self.done[topic] - again)
        batch = self.records[topic][begin : self.done[topic] + count]
        if not batch:
            return
        rule, before = self._rules[topic], self._save_tables()
        if again:
            rule.forget(0)
        received = [
            self._receive(topic, begin + place, *record) for place, record in enumerate(batch)
        ]
        work = Work(Source(topic.name, 0, INCARNATION), received, Lease(1e9))
        barrier = await rule.handle(work)
        assert not work.refused
        if is_cut_off:
            self._restore_tables(before)
            rule.forget(0)
            return
        await rule.settle([] if barrier is None else [barrier])
        self.done[topic] = max(self.done[topic], begin + len(batch))

    def _receive(self, topic: Topic, offset: int, key: str, value: bytes) -> Received:
        # Rules hear only what is younger than ten seconds of typing; nothing here is typed.
        raw = SimpleNamespace(offset=offset, timestamp=2e12, value=value)
        return Received(cast("Any", raw), decode(topic, key.encode(), value, 0, 1))

    def _save_tables(self) -> dict[str, dict[bytes, bytes]]:
        return {name: dict(table.entries) for name, table in self._tables.items()}

    def _restore_tables(self, entries: dict[str, dict[bytes, bytes]]) -> None:
        for name, table in self._tables.items():
            table.entries = entries.get(name, {})

    async def reconcile(self) -> bool:
        """Publish what is pending; return whether there was anything."""
        query = {"channelId": {"$in": list(self.channels)}, "pendingSince": {"$exists": True}}
        pending = await self.documents.find(query).sort("pendingSince", 1).to_list(None)
        for document in pending:
            value = encode_change(kind_of(document), document)
            self.publish(MESSAGES, document["channelId"], value)
        return bool(pending)

    async def settle(self) -> None:
        """Let all agents come to their ends."""
        while any(self.done[topic] < len(self.records[topic]) for topic in TOPICS) or (
            await self.reconcile()
        ):
            for topic in TOPICS:
                await self.work(topic, 500)
        await self.crier.pass_time()

    async def lose_log(self, stream: StreamKey) -> None:
        """Redis loses a stream: it begins anew, under another epoch."""
        await self.redis.delete(stream.log, stream.meta, stream.name)

    # What REST answers

    async def rest(self, user: str) -> dict[str, Json]:
        """Everything that a fresh client of this user would be shown, by what it asks for."""
        answers: dict[str, Json] = {}
        for channel in self.channels:
            page = await self.archive.page(channel, 100)
            items = [orjson.loads(render(document)) for document in page]
            answers[f"messages:{channel}"] = {"items": items, "next": None}
            users, count, _ = await self._active.page(channel, 100, "")
            answers[f"active:{channel}"] = {"items": users, "count": count}
        channels = await read_channels(self.redis, user)
        answers["unread"] = {
            "channels": [
                {
                    "channelId": each.channel_id,
                    "unread": each.unread,
                    "mentions": each.mentions,
                    "read": each.read,
                    "number": each.number,
                }
                for each in channels
            ]
        }
        notifications = await self.notifications.page(user, 100)
        items = [orjson.loads(render_notification(each)) for each in notifications]
        unread = (await self.notifications.count_unread([user]))[user]
        answers["notifications"] = {"items": items, "unread": unread, "next": None}
        answers["count"] = await read_notification_count(self.redis, user)
        return answers

    async def cached(self, channel: str) -> list[Json]:
        """The messages in a channel's cache list, newest first."""
        # redis-py's types allow for text, which this client does not decode.
        items = await cast("Any", self.redis.lrange(channel_stream(channel).name, 0, -1))
        return [orjson.loads(item) for item in items]


def fresh(user_channels: Iterable[str], answers: Mapping[str, Json]) -> Json:
    """What a client shows that has only asked REST, as `ReferenceClient.shown` has it."""
    channels = list(user_channels)
    return {
        "messages": {channel: answers[f"messages:{channel}"]["items"] for channel in channels},
        "active": {
            channel: {
                "users": {
                    each["userId"]: each["userName"]
                    for each in answers[f"active:{channel}"]["items"]
                },
                "count": answers[f"active:{channel}"]["count"],
            }
            for channel in channels
        },
        "unread": {
            each["channelId"]: {
                name: each[name] for name in ("read", "number", "unread", "mentions")
            }
            for each in answers["unread"]["channels"]
        },
        "notifications": {
            "unread": answers["count"],
            "items": [
                {**item, "readAt": item["readAt"] is not None}
                for item in answers["notifications"]["items"]
            ],
        },
    }
