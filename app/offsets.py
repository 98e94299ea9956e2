"""Where Kafka's partitions begin and end, asked over a connection that no consumer waits for."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.clients import create_reader, stop_consumer
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Span:
    """The first offset that a partition still has, and one past its last."""

    begin: int
    end: int


class Offsets:
    """Asks Kafka; connects when it is first asked, and again after a failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: AIOKafkaConsumer | None = None

    async def spans(self, topic: str, partitions: Collection[int]) -> dict[int, Span]:
        """Return the span of each of these partitions of a topic.

        Raises:
            aiokafka.errors.KafkaError: Kafka does not answer.
        """
        places = [TopicPartition(topic, partition) for partition in partitions]
        try:
            reader = await self._connected()
            begins = await reader.beginning_offsets(places)
            ends = await reader.end_offsets(places)
        except BaseException:
            await self.close()
            raise
        return {place.partition: Span(begins[place], ends[place]) for place in places}

    async def _connected(self) -> AIOKafkaConsumer:
        if self._reader is None:
            self._reader = create_reader(self._settings)
            await self._reader.start()
        return self._reader

    async def close(self) -> None:
        """Close the connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(KafkaError, OSError):
                await stop_consumer(reader)
