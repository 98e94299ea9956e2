"""The notifications that messages make by naming users."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from faust.types.transports import ProducerT

from agents.plan import Change
from app.announcements import encode_mention
from app.archive.documents import Document
from app.telemetry.tracing import traceparent_of
from app.topics import NOTIFICATIONS


@dataclass(frozen=True, slots=True)
class Mention:
    """A message that names a user."""

    user_id: str
    message: Document

    @property
    def id(self) -> str:
        """The notification's id: the same however often the message is delivered."""
        return str(uuid5(UUID(self.message["_id"]), self.user_id))


def named_in(message: Document) -> list[str]:
    """Return whom a message names, each once; not its sender, who knows."""
    named = message.get("mentions")
    if not named:
        return []
    return [user_id for user_id in dict.fromkeys(named) if user_id != message["senderId"]]


def mentions_in(changes: Iterable[Change]) -> list[Mention]:
    """Return the mentions that new messages make; one that is deleted by now makes none."""
    return [
        Mention(user_id, change.document)
        for change in changes
        if change.number is not None and change.document.get("deletedAt") is None
        for user_id in named_in(change.document)
    ]


async def publish_mentions(producer: ProducerT, mentions: Sequence[Mention]) -> None:
    """Publish a `notification` for each; return when Kafka has them all. Safe to repeat.

    Raises:
        aiokafka.errors.KafkaError: it may have some of them.
    """
    headers = [("traceparent", traceparent_of(None).encode())]
    acknowledgements = [
        await producer.send(
            NOTIFICATIONS.name,
            mention.user_id.encode(),
            encode_mention(mention.id, mention.user_id, mention.message),
            None,
            None,
            headers,
        )
        for mention in mentions
    ]
    await asyncio.gather(*acknowledgements)
