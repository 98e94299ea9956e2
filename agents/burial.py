"""Marks the message whose record has become a dead letter, so that nobody waits for it."""

from app.archive.pending import Grave, PendingMessages
from app.records import MessageEvent, Undecodable, decode
from app.streaming.work import Refused
from app.topics import Topic


class Burial:
    """What a worker does about a dead letter of its topic, of `partitions` partitions.

    Only a record that its handler failed on says truly which change it carries. The message of any
    other stays pending, and the reconciler publishes a good record of it.
    """

    def __init__(self, pending: PendingMessages, topic: Topic, partitions: int) -> None:
        self._pending = pending
        self._topic = topic
        self._partitions = partitions

    async def bury(self, refused: Refused) -> None:
        """Mark the message, if the record is one of a message's; safe to repeat."""
        if refused.reason != "handler_failed":
            return
        raw = refused.raw
        try:
            event = decode(self._topic, raw.key, raw.value, raw.partition, self._partitions)
        except Undecodable:
            return
        if isinstance(event, MessageEvent):
            grave = Grave(self._topic.name, raw.partition, raw.offset, refused.reason)
            await self._pending.bury(event.changed_id, event.rev, grave)
