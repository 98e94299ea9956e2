"""Reads partitions from one place to their present end."""

from collections.abc import AsyncGenerator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

_WAIT_MS = 500


def follow(reader: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
    """Turn to these partitions, and fetch nothing yet.

    aiokafka waits for ever for the leader of a topic that it does not follow, once it has followed
    another.
    """
    reader.assign(places)
    reader.pause(*places)


async def read_all(
    reader: AIOKafkaConsumer,
    places: Sequence[TopicPartition],
    *,
    start: int | None = None,
    since_ms: int | None = None,
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield what is there now, each partition in order.

    Begins at offset `start`, or at the first record from `since_ms` (Unix milliseconds) on, or
    with the first there is. Close it (`aclosing`) if it is not read to its end.
    """
    follow(reader, places)
    ends = await reader.end_offsets(places)
    begins = await reader.beginning_offsets(places)
    if since_ms is not None:
        found = await reader.offsets_for_times(dict.fromkeys(places, since_ms))
        # None: no record is so late.
        begins = {p: f.offset if (f := found[p]) is not None else ends[p] for p in places}
    elif start is not None:
        begins = {place: max(start, begins[place]) for place in places}
    try:
        async for record in _read(reader, begins, ends):
            yield record
    finally:
        reader.pause(*places)


async def _read(
    reader: AIOKafkaConsumer,
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> AsyncGenerator[ConsumerRecord, None]:
    waiting = {place for place, begin in begins.items() if begin < ends[place]}
    for place in waiting:
        reader.seek(place, begins[place])
    reader.resume(*waiting)
    while waiting:
        fetched = await reader.getmany(*waiting, timeout_ms=_WAIT_MS)
        for place, records in fetched.items():
            for record in records:
                if record.offset < ends[place]:
                    yield record
        for place in list(waiting):
            if await reader.position(place) >= ends[place]:
                waiting.discard(place)
