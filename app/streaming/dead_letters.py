"""Dead letters: what could not be processed, byte for byte, with its reason and coordinates."""

import logging
from datetime import UTC, datetime

from aiokafka import ConsumerRecord
from aiokafka.errors import MessageSizeTooLargeError
from faust.types.transports import ProducerT
from prometheus_client import Counter

from app.streaming.work import Refused
from app.topics import Topic

log = logging.getLogger(__name__)

_dead_letters = Counter(
    "hubbub_dead_letters_total", "Records sent to a dead-letter topic.", ["topic", "reason"]
)


class DeadLetters:
    """The dead-letter topic of one source topic."""

    def __init__(self, topic: Topic, producer: ProducerT) -> None:
        self._topic = topic
        self._producer = producer

    async def send(self, refused: Refused) -> None:
        """Send one, to the partition it came from; return when Kafka has it.

        Raises:
            aiokafka.errors.KafkaError: Kafka does not have it; the record must not be acknowledged.
        """
        raw = refused.raw
        headers = self._headers(refused)
        try:
            await self._send(raw, raw.value, headers)
        except MessageSizeTooLargeError:
            # It was as long as a record may be, and a letter is longer. Its coordinates lead to it.
            await self._send(raw, None, [*headers, ("value-omitted", b"too-long")])
        _dead_letters.labels(self._topic.name, refused.reason).inc()
        log.warning(
            "record_dead_lettered",
            extra={
                "topic": self._topic.name,
                "partition": raw.partition,
                "offset": raw.offset,
                "reason": refused.reason,
                "error": refused.error,
            },
        )

    async def _send(
        self, raw: ConsumerRecord, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        await self._producer.send_and_wait(
            self._topic.dead_letters, raw.key, value, raw.partition, None, headers
        )

    def _headers(self, refused: Refused) -> list[tuple[str, bytes]]:
        raw = refused.raw
        fields = {
            "source-topic": self._topic.name,
            "source-partition": str(raw.partition),
            "source-offset": str(raw.offset),
            "group": self._topic.group,
            "reason": refused.reason,
            "error": refused.error,
            "attempts": str(refused.attempts),
            "failed-at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        headers = [(name, value.encode()) for name, value in fields.items()]
        return headers + [("traceparent", value) for value in _traceparents(raw)]


def _traceparents(raw: ConsumerRecord) -> list[bytes]:
    return [value for name, value in raw.headers if name == "traceparent"][:1]
