"""What was accepted, kept outside of every server, and what must therefore be true in the end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from pymongo import MongoClient
from redis import Redis

from app.archive.documents import Document, render
from app.keys import channel_stream
from tests.chaos.follower import Follower
from tests.chaos.tally import Tally
from tests.chaos.view import View, canonical


@dataclass(slots=True)
class Accepted:
    """A message that was answered with 201, and every change of it that was answered with 200."""

    id: str
    channel_id: str
    sender: str
    content: str
    edits: int = 0
    is_deleted: bool = False
    reactions: set[tuple[str, str]] = field(default_factory=set)
    reaction_changes: int = 0
    is_busy: bool = False
    """Whether a change is on its way."""


class Servers:
    """The servers as the oracle asks them: past every process of Hubbub."""

    def __init__(self, mongodb_uri: str, redis_port: int) -> None:
        self._client: MongoClient[dict[str, Any]] = MongoClient(
            mongodb_uri, serverSelectionTimeoutMS=3000, socketTimeoutMS=5000, tz_aware=True
        )
        self._database = self._client["hubbub"]
        self._redis = Redis(host="127.0.0.1", port=redis_port, socket_timeout=5)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._redis.close()

    def documents(self) -> list[Document]:
        """Every message."""
        return list(self._database["messages"].find().sort([("channelId", 1), ("number", 1)]))

    def notifications(self) -> list[Document]:
        """Every notification."""
        return list(self._database["notifications"].find())

    def cached(self, channel_id: str) -> list[bytes]:
        """A channel's cache list."""
        found: Any = self._redis.lrange(channel_stream(channel_id).name, 0, -1)
        return list(found)


class Oracle:
    """What was answered, and the judgement."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.messages: dict[str, Accepted] = {}
        self.marked: dict[tuple[str, str], int] = {}
        """By user and channel: the highest number whose reading was accepted."""

    def accept(self, message: Mapping[str, Any]) -> Accepted:
        """A message was answered with 201, or a repeat with 200."""
        accepted = Accepted(
            message["id"], message["channelId"], message["senderId"], message["content"]
        )
        if accepted.id in self.messages:
            self.tally.complain("doubled", f"two requests got message {accepted.id}")
        self.messages[accepted.id] = accepted
        self.tally.accepted += 1
        return accepted

    # What is not there yet

    def is_settled(self, documents: Sequence[Document], followers: Iterable[Follower]) -> str:
        """Return what is still waited for; empty when nothing is."""
        pending = sum("pendingSince" in each or "number" not in each for each in documents)
        if pending:
            return f"{pending} changes pending"
        bodies = bodies_by_channel(documents)
        for follower in followers:
            if not follower.is_complete:
                return f"{follower.name} is not connected, or not complete"
            for view in follower.views.values():
                if view.alive != bodies.get(view.channel_id, {}):
                    return f"{view.name} differs"
        return ""

    # The judgement

    def judge(self, servers: Servers, followers: Iterable[Follower]) -> None:
        """Compare everything with what was accepted; complain of what does not agree."""
        documents = servers.documents()
        self._judge_documents(documents)
        bodies = bodies_by_channel(documents)
        for channel_id in {document["channelId"] for document in documents}:
            own = [document for document in documents if document["channelId"] == channel_id]
            self._judge_numbers(channel_id, own)
            self.judge_cache(channel_id, servers.cached(channel_id), own)
        for follower in followers:
            if not follower.is_connected:
                self.tally.complain("lost", f"{follower.name} never came back")
            for view in follower.views.values():
                self._judge_view(view, bodies.get(view.channel_id, {}))

    def judge_channel(
        self, servers: Servers, channel_id: str, followers: Iterable[Follower]
    ) -> None:
        """As `judge`, of one channel; the messages of others are nobody's business."""
        own = [each for each in servers.documents() if each["channelId"] == channel_id]
        self._judge_documents(own)
        self._judge_numbers(channel_id, own)
        self.judge_cache(channel_id, servers.cached(channel_id), own)
        for follower in followers:
            self._judge_view(follower.views[channel_id], bodies_by_channel(own).get(channel_id, {}))

    def _judge_documents(self, documents: Sequence[Document]) -> None:
        found = {document["_id"]: document for document in documents}
        for message in self.messages.values():
            document = found.get(message.id)
            if document is None:
                self.tally.complain("lost", f"message {message.id} is not in MongoDB")
                continue
            self._judge_document(message, document)
        for message_id in found.keys() - self.messages.keys():
            self.tally.complain("doubled", f"message {message_id} was never accepted")

    def _judge_document(self, message: Accepted, document: Document) -> None:
        where = f"message {message.id}"
        if "pendingSince" in document:
            self.tally.complain("lost", f"{where}: a change was never applied")
        if (document.get("deletedAt") is not None) != message.is_deleted:
            self.tally.complain("differs", f"{where}: deleted is not {message.is_deleted}")
        if document["content"] != message.content:
            self.tally.complain("differs", f"{where}: not the content that was accepted")
        shown = {kind["emoji"]: kind["count"] for kind in document["reactions"]}
        wanted: dict[str, int] = {}
        for emoji, _ in message.reactions:
            wanted[emoji] = wanted.get(emoji, 0) + 1
        if shown != wanted:
            self.tally.complain("differs", f"{where}: reactions {shown}, accepted {wanted}")

    def _judge_numbers(self, channel_id: str, documents: Sequence[Document]) -> None:
        numbers = sorted(document.get("number") or 0 for document in documents)
        if numbers != list(range(1, len(numbers) + 1)):
            self.tally.complain("gap", f"{channel_id}: numbers are not 1 to {len(numbers)}")

    def judge_cache(
        self, channel_id: str, cached: Sequence[bytes], documents: Sequence[Document]
    ) -> None:
        """A cache list is the newest messages that are not deleted, byte for byte."""
        alive = [each for each in documents if each.get("deletedAt") is None]
        newest = [render(document) for document in reversed(alive)][: len(cached)]
        if list(cached) != newest:
            wrong = sum(one != other for one, other in zip(cached, newest, strict=False))
            self.tally.complain("differs", f"{channel_id}: {wrong} of the cache list's messages")

    def _judge_view(self, view: View, bodies: Mapping[str, str]) -> None:
        alive = view.alive
        for message_id in bodies.keys() - alive.keys():
            self.tally.complain("lost", f"{view.name}: message {message_id} never came")
        for message_id in alive.keys() - bodies.keys():
            self.tally.complain("lost", f"{view.name}: the deletion of {message_id} never came")
        for message_id in alive.keys() & bodies.keys():
            if alive[message_id] != bodies[message_id]:
                detail = f"{view.name}: {alive[message_id]}, in MongoDB {bodies[message_id]}"
                self.tally.complain("differs", detail)
        self._judge_events(view)

    def _judge_events(self, view: View) -> None:
        for (message_id, group), count in view.events.items():
            message = self.messages.get(message_id)
            if message is None:
                continue
            # The reconciler publishes a reaction again as an update of its message.
            changes = message.edits + message.is_deleted + message.reaction_changes
            most = {"message": 1, "updates": changes, "reactions": message.reaction_changes}[group]
            if count > most:
                detail = f"{view.name}: {count} {group} of {message_id}, {most} were accepted"
                self.tally.complain("doubled", detail)

    def judge_unread(
        self, user: str, channels: Sequence[Mapping[str, Any]], highest: Mapping[str, int]
    ) -> None:
        """`GET /api/users/{id}/unread`: counts fit the numbers, and nothing read is unread."""
        found = {channel["channelId"]: channel for channel in channels}
        for channel_id, channel in found.items():
            where, number = f"{user} in {channel_id}", highest.get(channel_id, 0)
            if channel["number"] != number:
                self.tally.complain("differs", f"{where}: number {channel['number']}, is {number}")
            if channel["unread"] != channel["number"] - channel["read"]:
                self.tally.complain("differs", f"{where}: {dict(channel)}")
        for (marker, channel_id), number in self.marked.items():
            if marker == user:
                read = found[channel_id]["read"] if channel_id in found else -1
                if read < number:
                    detail = f"{user} in {channel_id}: read {read}, accepted {number}"
                    self.tally.complain("lost", detail)


def bodies_by_channel(documents: Sequence[Document]) -> dict[str, dict[str, str]]:
    """What clients must show in the end: by channel, each message that is there, by id."""
    bodies: dict[str, dict[str, str]] = {}
    for document in documents:
        own = bodies.setdefault(document["channelId"], {})
        if document.get("deletedAt") is None:
            own[document["_id"]] = canonical(orjson.loads(render(document)))
    return bodies
