"""A batch: what Kafka returned of one partition at once, carried through Faust as one message."""

from collections.abc import Sequence
from typing import Any, Final

from aiokafka import ConsumerRecord
from faust.types import TP, ConsumerMessage

from app.streaming.ledger import Delivery

LONGEST_BATCH: Final = 500


class Batch(list[ConsumerRecord]):
    """Undecoded records of one partition, in order, and what became of them.

    Its message's offset is that of the last record. Redelivered batches have other borders, so
    every guard is a record's, never a batch's.
    """

    __slots__ = ("delivery",)

    def __init__(self, records: Sequence[ConsumerRecord]) -> None:
        super().__init__(records)
        self.delivery: Delivery | None = None
        """Its line in the ledger; a changelog's batch has none."""


def batch_of(message: Any) -> Batch | None:
    """Return the batch that a message of Faust's carries, if it carries one."""
    return message.value if type(message.value) is Batch else None


def records_of(message: Any) -> Sequence[ConsumerRecord]:
    """Return the records that a message of Faust's carries."""
    return batch_of(message) or ()


def to_message(tp: TP, batch: Batch, generation: int) -> ConsumerMessage:
    """Return the one message that carries `batch` through Faust's queues and streams."""
    last = batch[-1]
    value: Any = batch  # Faust's types know of bytes only.
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.offset,
        last.timestamp / 1000.0,
        last.timestamp_type,
        None,
        None,
        value,
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )
