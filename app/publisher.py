"""Gateway to Kafka: publishes what MongoDB has accepted, and knows when not to wait for it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import cache, partial
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from app.archive.documents import Document
from app.archive.messages import Messages
from app.outages import Outage
from app.outgoing import Reacted, encode_change, encode_reaction, kind_of
from app.topics import MESSAGES, REACTIONS, Topic

log = logging.getLogger(__name__)

WAIT_SECONDS: Final = 0.5
UNSTORED_WAIT_SECONDS: Final = 3.0
"""For a record that no document stands behind: its caller is told of it only when Kafka has it."""

FAILURES_BEFORE_NOT_WAITING: Final = 20
IN_FLIGHT: Final = 10_000
"""Records kept while Kafka is away; what is beyond stays pending in MongoDB for the reconciler."""

LOOKS_AFTER_SECONDS: Final = (0.1, 0.3, 1.0, 3.0)
"""When a change that met no number is looked at again, counted from the change."""

LANES: Final = 64

_published = Counter("hubbub_published_total", "Records acknowledged by Kafka.", ["topic"])
_published_to = cache(_published.labels)  # Finding the child costs more than counting.
_unpublished = Counter("hubbub_unpublished_total", "Records left to the reconciler.", ["topic"])
_in_flight = Gauge("hubbub_publishing", "Records on their way to Kafka, not yet acknowledged.")


class Publisher:
    """Publishes records; a record that fails stays pending in MongoDB, where it is found again.

    Records of one key reach Kafka in the order in which they were given to this class.
    """

    def __init__(self, producer: AIOKafkaProducer, messages: Messages) -> None:
        self._producer = producer
        self._messages = messages
        self._sending: set[asyncio.Task[bool]] = set()
        _in_flight.set_function(self._sending.__len__)
        self._failures = 0
        # The producer makes a send wait when a partition's batch is full, and a later one could
        # slip in before it; a lock lets those who wait in by turns.
        self._lanes = tuple(asyncio.Lock() for _ in range(LANES))

    async def publish_change(
        self, kind: str, document: Document, message: bytes, traceparent: str
    ) -> bool:
        """Publish `message_created`, `…_updated` or `…_deleted`; return whether Kafka has it.

        `message` is the document, rendered.
        A change of a message that has no number yet is looked at again in the background, so that
        it is never seen before its message; if it still has none, it is left to the reconciler.
        """
        if kind != "message_created" and document.get("number") is None:
            self._publish_later(document["_id"], MESSAGES, _encode_last_change, traceparent)
            return False
        value = encode_change(kind, document, message)
        return await self.publish(MESSAGES, document["channelId"], value, traceparent)

    async def publish_reaction(
        self, reacted: Reacted, document: Document, traceparent: str
    ) -> bool:
        """Publish a reaction, as `publish_change` does; return whether Kafka has it."""
        encode = partial(encode_reaction, reacted)
        if document.get("number") is None:
            self._publish_later(document["_id"], REACTIONS, encode, traceparent)
            return False
        return await self.publish(REACTIONS, document["channelId"], encode(document), traceparent)

    async def publish(self, topic: Topic, key: str, value: bytes, traceparent: str) -> bool:
        """Publish a record of a document; return whether Kafka has acknowledged it.

        Waits up to half a second; goes on in the background after that. After 20 failures in a row
        it does not wait at all, until one send has succeeded.
        """
        task = self._start(self._send(topic, key, value, traceparent))
        if task is None or self._failures >= FAILURES_BEFORE_NOT_WAITING:
            return False
        done, _ = await asyncio.wait([task], timeout=WAIT_SECONDS)
        if not done:
            self._failures += 1
            return False
        # Cancelled by a drain: accepted all the same, and pending.
        return not task.cancelled() and task.result()

    async def publish_unstored(
        self, topic: Topic, records: Iterable[tuple[str, bytes]], traceparent: str
    ) -> list[bool]:
        """Publish records that no document stands behind, each with its key; return of which
        Kafka has acknowledged within three seconds.

        Any other may reach it later, or be lost: whoever asked for it is to repeat it.
        """
        tasks = [self._start(self._send(topic, key, value, traceparent)) for key, value in records]
        sending = [task for task in tasks if task is not None]
        if not sending or self._failures >= FAILURES_BEFORE_NOT_WAITING:
            return [False] * len(tasks)
        _, late = await asyncio.wait(sending, timeout=UNSTORED_WAIT_SECONDS)
        self._failures += len(late)
        return [
            task is not None and task.done() and not task.cancelled() and task.result()
            for task in tasks
        ]

    async def drain(self, timeout_seconds: float) -> None:
        """Wait for what is under way; the rest stays pending in MongoDB."""
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=timeout_seconds)
            for task in late:
                task.cancel()

    def _start(self, sending: Coroutine[Any, Any, bool]) -> asyncio.Task[bool] | None:
        if len(self._sending) >= IN_FLIGHT:
            sending.close()
            _unpublished.labels(MESSAGES.name).inc()
            return None
        task = asyncio.create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return task

    async def _send(self, topic: Topic, key: str, value: bytes, traceparent: str) -> bool:
        headers = [("traceparent", traceparent.encode())]
        try:
            async with self._lanes[hash(key) % LANES]:
                acknowledged = await self._producer.send(
                    topic.name, value=value, key=key.encode(), headers=headers
                )
            await acknowledged
        except KafkaError as error:
            self._failures += 1
            _unpublished.labels(topic.name).inc()
            log.warning(
                "record_not_published",
                extra={"topic": topic.name, "key": key, "error": type(error).__name__},
            )
            return False
        self._failures = 0
        _published_to(topic.name).inc()
        return True

    def _publish_later(
        self, message_id: str, topic: Topic, encode: Callable[[Document], bytes], traceparent: str
    ) -> None:
        self._start(self._publish_when_numbered(message_id, topic, encode, traceparent))

    async def _publish_when_numbered(
        self, message_id: str, topic: Topic, encode: Callable[[Document], bytes], traceparent: str
    ) -> bool:
        waited = 0.0
        for after in LOOKS_AFTER_SECONDS:
            await asyncio.sleep(after - waited)
            waited = after
            try:
                document = await self._messages.get(message_id)
            except Outage as error:
                log.warning("change_not_looked_at", extra={"error": type(error).__name__})
                continue
            if document is None or "pendingSince" not in document:
                return True
            if document.get("number") is not None:
                value = encode(document)
                return await self._send(topic, document["channelId"], value, traceparent)
        _unpublished.labels(topic.name).inc()
        return False


def _encode_last_change(document: Document) -> bytes:
    return encode_change(kind_of(document), document)
