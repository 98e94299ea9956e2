"""The thread that talks to Kafka: membership, fetches, seeks and commits go on whatever agents do.

Overrides private methods of faust-streaming 0.15.3: `_create_worker_consumer`, `_seek_wait` and
`_commit` of its thread.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, KafkaTimeoutError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.clients import stop_consumer
from app.errors import ProvisionError
from app.streaming.coordinator import (
    beat_from_the_assignment_on,
    go_on_after_errors,
    renew_lease_with,
)
from app.streaming.fetches import BUSY_WAIT_MS, wait_long_when_quiet

if TYPE_CHECKING:
    from app.streaming.application import Application

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class TopicMadeAnew(ProvisionError):  # noqa: N818 - it is what happened
    """The group has committed more than a partition has: nothing would be read for a long time."""

    def __init__(self, tp: TP, committed: int, end: int) -> None:
        super().__init__(
            f"{tp.topic}:{tp.partition} ends at {end}, and {committed} is committed: "
            f"it was made anew; run: python -m app topics adopt {tp.topic}"
        )


COMMIT_SECONDS: Final = 10.0
"""A commit that has no answer by then is given up and tried again with what is newer."""

_RETRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records by partition, and how many seeks came before them.

    Records that were fetched before the last seek will be read again.
    """

    records: Mapping[TP, list[ConsumerRecord]]
    seeks: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where reading begins, and what the group has committed; None: nothing yet."""

    start: int
    committed: int | None


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, whose membership does not end while Kafka is there."""

    app: "Application"
    logger = logging.getLogger("faust.transport")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seeks = 0

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = BUSY_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Start, and see to it that no background task of aiokafka ends unnoticed."""
        await super().on_start()
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator
        renew_lease_with(coordinator, self.app.lease)
        go_on_after_errors(coordinator)
        beat_from_the_assignment_on(coordinator)
        wait_long_when_quiet(consumer._fetcher, self._is_source, lambda: self.seeks)
        for task in (
            coordinator._coordination_task,
            consumer._client._sync_task,
            consumer._fetcher._fetch_task,
        ):
            task.add_done_callback(self._on_task_end)

    async def on_thread_stop(self) -> None:
        """Stop aiokafka's consumer after the thread's calls, so that it ends for sure."""
        await super(driver.AIOKafkaConsumerThread, self).on_thread_stop()
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    def _is_source(self, tp: TopicPartition) -> bool:
        return bool(tp.topic == self.app.source.name)

    def _on_task_end(self, task: "asyncio.Task[Any]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            asyncio.run_coroutine_threadsafe(self.app.crash(error), self.parent_loop)

    # Fetch and seek

    async def fetch(self, partitions: frozenset[TP], timeout_seconds: float) -> Fetched:
        """Return what is there of `partitions`, or comes within the time."""
        # Not by the queue of calls, whose two workers are four tasks for each.
        fetching = self._fetch(partitions, timeout_seconds)
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(fetching, self.thread_loop)
        )

    async def _fetch(self, partitions: frozenset[TP], timeout_seconds: float) -> Fetched:
        records = await self._fetch_records(
            self._ensure_consumer(),
            partitions,  # type: ignore[arg-type] # only read
            timeout=timeout_seconds,
        )
        # aiokafka's own type of partition is equal to Faust's, and refused by its assertions.
        return Fetched({TP(*tp): found for tp, found in records.items()}, self.seeks)

    async def seek_to_start(self, partitions: set[TP]) -> dict[TP, Place]:
        """Seek to where the group has come to, or else to the first record there is.

        aiokafka leaves a partition without a commit where it is: past what was fetched and dropped
        during a rebalance.

        Raises:
            TopicMadeAnew: more is committed than there is.
        """
        places: dict[TP, Place] = await self.call_thread(self._seek_to_start, partitions)
        return places

    async def _seek_to_start(self, partitions: set[TP]) -> dict[TP, Place]:
        consumer = self._ensure_consumer()
        committed = await _patiently(
            lambda: consumer._coordinator.fetch_committed_offsets(list(partitions))
        )
        firsts = await _patiently(lambda: consumer.beginning_offsets(partitions))
        ends = await _patiently(lambda: consumer.end_offsets(partitions))
        places = {}
        for tp in partitions:
            offset = committed[tp].offset if tp in committed else None
            if offset is not None and offset > ends[tp]:
                raise TopicMadeAnew(tp, offset, ends[tp])
            places[tp] = Place(max(firsts[tp], offset or 0), offset)
        # Without a pause in between: what is fetched from now on lies behind the seek.
        self.seeks += 1
        for tp, place in places.items():
            consumer.seek(tp, place.start)
        return places

    async def _seek_wait(self, consumer: AIOKafkaConsumer, partitions: Mapping[TP, int]) -> None:
        self.seeks += 1
        await super()._seek_wait(consumer, partitions)

    # Ask and commit

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the first offsets, as soon as Kafka tells them."""
        ask = super().earliest_offsets
        return await _patiently(lambda: ask(*partitions))

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the offsets that the next records will get, as soon as Kafka tells them."""
        ask = super().highwaters
        return await _patiently(lambda: ask(*partitions))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        # Stock crashes the worker on any error; a commit that failed is simply tried again, and the
        # commit watchdog ends a worker whose commits never succeed.
        consumer = self._ensure_consumer()
        wanted = {
            TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
        }
        try:
            await asyncio.wait_for(consumer.commit(wanted), COMMIT_SECONDS)
        except (CommitFailedError, IllegalStateError):
            return False  # The group rebalanced: whoever owns the partitions reads them again.
        except (KafkaError, TimeoutError) as error:
            log.warning("commit_failed", extra={"error": type(error).__name__})
            return False
        return True


async def _patiently(ask: Callable[[], Awaitable[Result]]) -> Result:
    """Ask until Kafka answers: stock ends the worker when it does not within a time."""
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                raise
        await asyncio.sleep(_RETRY_SECONDS)
