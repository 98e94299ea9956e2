"""Dead letters: what could not be processed, byte for byte, with its reason and coordinates."""

import logging
from datetime import UTC, datetime

from aiokafka import ConsumerRecord
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
        await self._producer.send_and_wait(
            self._topic.dead_letters,
            raw.key,
            raw.value,
            raw.partition,
            None,
            self._headers(refused),
        )
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
