"""faust-streaming 606: acknowledgements out of order commit past what is unprocessed."""

from typing import Any

import pytest
from faust.types import TP, ConsumerMessage

from app.streaming.batches import Batch, to_message
from tests.support.flavours import Flavour, Ours


def deliver(flavour: type[Flavour], consumer: Any, tp: TP, offset: int) -> Any:
    record: Any = ConsumerMessage(tp.topic, tp.partition, offset, 0.0, 0, [], b"", b"", None, tp=tp)
    if flavour is not Ours:
        return record
    message: Any = to_message(tp, Batch([record]), 0)
    message.value.delivery = consumer.ledgers[tp].deliver(offset, offset)
    return message


@pytest.mark.parametrize("committed", [10, None])
def test_record_acknowledged_before_an_earlier_one_is_not_committed(
    flavour: type[Flavour], faust_app: Any, committed: int | None
) -> None:
    tp = TP("source", 0)
    consumer: Any = faust_app.consumer
    faust_app.topics._acking_topics.add(tp.topic)
    consumer._committed_offset[tp] = committed
    messages = [deliver(flavour, consumer, tp, offset) for offset in (10, 11, 12)]
    consumer.ack(messages[1])
    consumer.ack(messages[2])
    assert flavour.committable(consumer, tp) is None
