"""How far a worker is in the partitions that it owns."""

from dataclasses import dataclass
from datetime import UTC, datetime

from faust.types import TP

from app.offsets import Offsets
from app.streaming.application import Application
from app.streaming.transport import Consumer


@dataclass(frozen=True, slots=True)
class Progress:
    """What is behind a worker: a record acknowledged at a time, or all that there is."""

    passed_at: datetime | None
    has_lag: bool


async def read_progress(app: Application, offsets: Offsets) -> dict[int, Progress]:
    """Return the progress in each partition of the source topic that `app` owns now.

    Raises:
        aiokafka.errors.KafkaError: Kafka does not tell where its partitions end.
    """
    consumer = app.consumer
    if not (app.is_ready and isinstance(consumer, Consumer)):
        return {}
    owned = {tp.partition: tp for tp in consumer.assignment() if tp.topic == app.source.name}
    # The position is read before the end: what comes in between is lag, never the other way round.
    positions = {partition: _position(consumer, tp) for partition, tp in owned.items()}
    spans = await offsets.spans(app.source.name, owned)
    return {
        partition: Progress(
            _time(app.lanes.passed_at(TP(app.source.name, partition))),
            has_lag=(spans[partition].begin if position is None else position)
            < spans[partition].end,
        )
        for partition, position in positions.items()
    }


def _position(consumer: Consumer, tp: TP) -> int | None:
    """Where a successor would go on: one past the acknowledged prefix; None: nobody was there."""
    ledger = consumer.ledgers.get(tp)
    acknowledged = None if ledger is None else ledger.committable
    known = [offset for offset in (acknowledged, consumer._committed_offset[tp]) if offset]
    return max(known, default=None)


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
