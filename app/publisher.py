"""Gateway to Kafka: publishes what MongoDB has accepted, and knows when not to wait for it."""

import asyncio
import logging
from typing import Final

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from app.archive.documents import Document, format_time, render
from app.topics import MESSAGES, Topic

log = logging.getLogger(__name__)

WAIT_SECONDS: Final = 1.0
FAILURES_BEFORE_NOT_WAITING: Final = 20
IN_FLIGHT: Final = 10_000
"""Records kept while Kafka is away; what is beyond stays pending in MongoDB for the reconciler."""

_published = Counter("hubbub_published_total", "Records acknowledged by Kafka.", ["topic"])
_unpublished = Counter("hubbub_unpublished_total", "Records left to the reconciler.", ["topic"])
_in_flight = Gauge("hubbub_publishing", "Records handed to Kafka and not yet acknowledged.")


class Publisher:
    """Publishes records; a record that fails stays pending in MongoDB, where it is found again."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._sending: set[asyncio.Task[bool]] = set()
        self._failures = 0

    async def publish_change(self, kind: str, document: Document, traceparent: str) -> bool:
        """Publish `message_created`, `…_updated` or `…_deleted`; return whether Kafka has it.

        Waits up to one second; goes on in the background after that. After 20 failures in a row it
        does not wait at all, until one send has succeeded.
        """
        channel_id = str(document["channelId"])
        value = orjson.dumps(
            {
                "eventId": f"{document['_id']}:{document['rev']}",
                "type": kind,
                "occurredAt": format_time(document["changedAt"]),
                "channelId": channel_id,
                "rev": document["rev"],
                "message": orjson.Fragment(render(document)),
            }
        )
        if len(self._sending) >= IN_FLIGHT:
            _unpublished.labels(MESSAGES.name).inc()
            return False
        task = asyncio.create_task(self._send(MESSAGES, channel_id, value, traceparent))
        self._sending.add(task)
        _in_flight.set(len(self._sending))
        task.add_done_callback(self._forget)
        if self._failures >= FAILURES_BEFORE_NOT_WAITING:
            return False
        done, _ = await asyncio.wait([task], timeout=WAIT_SECONDS)
        if not done:
            self._failures += 1
            return False
        return task.result()

    async def _send(self, topic: Topic, key: str, value: bytes, traceparent: str) -> bool:
        headers = [("traceparent", traceparent.encode())]
        try:
            await self._producer.send_and_wait(
                topic.name, value=value, key=key.encode(), headers=headers
            )
        except KafkaError as error:
            self._failures += 1
            _unpublished.labels(topic.name).inc()
            log.warning(
                "record_not_published",
                extra={"topic": topic.name, "key": key, "error": type(error).__name__},
            )
            return False
        self._failures = 0
        _published.labels(topic.name).inc()
        return True

    def _forget(self, task: asyncio.Task[bool]) -> None:
        self._sending.discard(task)
        _in_flight.set(len(self._sending))

    async def drain(self, timeout_seconds: float) -> None:
        """Wait for what is under way; the rest stays pending in MongoDB."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=timeout_seconds)
