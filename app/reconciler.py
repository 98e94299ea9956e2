"""The reconciler: publishes again what was accepted and never reached its agent.

Whatever it does needlessly has no effect: a message's document tells a record that was published
twice (docs/events.md).
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from faust.types import TP
from prometheus_client import Counter, Gauge

from app.archive.documents import Document
from app.archive.pending import PendingMessages, ago
from app.offsets import Offsets
from app.outages import Outage
from app.outgoing import encode_change, kind_of
from app.streaming.application import Application
from app.streaming.progress import Progress, read_progress
from app.telemetry.tracing import traceparent_of
from app.topics import partition_of

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0
AFTER_SECONDS: Final = 2.5
"""A change on its ordinary way is applied long before; what waits longer may be missing.

So what a gateway accepted and died over is delivered within four seconds.
"""

PER_SECOND: Final = 500
"""So that a heap that has built up leaves room for what is posted now."""

_pending = Gauge(
    "hubbub_pending_messages",
    f"Changes not applied within {AFTER_SECONDS:g} s, of this worker's partitions.",
)
_republished = Counter("hubbub_republished_total", "Changes published again.", ["type"])
_failures = Counter("hubbub_reconciler_failures_total", "Rounds that ended early.", ["error"])


class Reconciler:
    """Looks after the pending messages of the partitions that a messages worker owns."""

    def __init__(
        self,
        app: Application,
        pending: PendingMessages,
        offsets: Offsets,
        *,
        every_seconds: float = EVERY_SECONDS,
        after_seconds: float = AFTER_SECONDS,
        per_second: int = PER_SECOND,
    ) -> None:
        self._app = app
        self._pending = pending
        self._offsets = offsets
        self._every_seconds = every_seconds
        self._after_seconds = after_seconds
        self._per_second = per_second

    async def run(self) -> None:
        """Make a round every few seconds, for ever; an outage is said once and waited out."""
        said = ""
        while True:
            await asyncio.sleep(self._every_seconds)
            try:
                await self.reconcile()
            except Outage as error:
                name = type(error).__name__
                _failures.labels(name).inc()
                if not said:
                    log.warning("reconciler_waits", extra={"error": name})
                said = name
            except Exception as error:
                # A defect. The worker's own work does not need this task, and a later round may
                # get past what this one fell over.
                _failures.labels(type(error).__name__).inc()
                log.exception("reconciler_failed")
            else:
                if said:
                    log.info("reconciler_goes_on")
                said = ""

    async def reconcile(self) -> int:
        """Make one round; return how many changes it published."""
        waiting = await self._find_waiting()
        published = 0
        while waiting:
            began = time.monotonic()
            # Partitions have equal shares: none waits behind another's heap.
            share = max(1, self._per_second // len(waiting))
            progress = await read_progress(self._app, self._offsets)
            for partition, channel_ids in list(waiting.items()):
                count = 0
                if (reached := progress.get(partition)) is not None:
                    count = await self._republish(partition, channel_ids, reached, share)
                published += count
                if count < share:
                    del waiting[partition]
            if waiting:
                await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))
        return published

    async def _find_waiting(self) -> dict[int, list[str]]:
        if not self._app.is_ready:
            return {}
        owned = {tp.partition for tp in self._app.consumer.assignment() if self._is_source(tp)}
        waiting: defaultdict[int, list[str]] = defaultdict(list)
        count = 0
        for channel in await self._pending.channels(ago(self._after_seconds)):
            partition = partition_of(channel.channel_id.encode(), self._app.partitions)
            if partition in owned:
                waiting[partition].append(channel.channel_id)
                count += channel.count
        _pending.set(count)
        return dict(waiting)

    def _is_source(self, tp: TP) -> bool:
        return bool(tp.topic == self._app.source.name)

    def _until(self, progress: Progress) -> datetime | None:
        """Before which time a pending change's record cannot be waiting in the partition."""
        latest = ago(self._after_seconds)
        if not progress.has_lag:
            return latest
        if progress.passed_at is None:
            return None
        # What was accepted then may have been published a little later.
        return min(latest, progress.passed_at - timedelta(seconds=self._after_seconds))

    async def _republish(
        self, partition: int, channel_ids: Sequence[str], progress: Progress, limit: int
    ) -> int:
        until = self._until(progress)
        if until is None:
            return 0
        documents = await self._pending.oldest(channel_ids, until, limit)
        if documents:
            await self._publish(partition, documents)
            # What stays pending all the same is looked at again, after everything else.
            await self._pending.postpone([document["_id"] for document in documents], until)
        return len(documents)

    async def _publish(self, partition: int, documents: Sequence[Document]) -> None:
        acknowledgements = []
        for document in documents:
            kind = kind_of(document)
            sent = await self._app.producer.send(
                self._app.source.name,
                document["channelId"].encode(),
                encode_change(kind, document),
                partition,
                None,
                [("traceparent", traceparent_of(None).encode())],
            )
            acknowledgements.append(sent)
            _republished.labels(kind).inc()
        await asyncio.gather(*acknowledgements)
        log.info("changes_republished", extra={"partition": partition, "count": len(documents)})
