"""Table recovery that drops no record at its end, and does not wait before its start.

Stock Faust unpauses the source partitions before it seeks, and clears the queues after that: a
record delivered in between is gone for this worker (faust-streaming issue 596).
"""

import asyncio
import logging
from typing import Any, cast

from faust.tables import manager, recovery
from faust.types.tables import CollectionT


class Recovery(recovery.Recovery):
    """Seeks first; then, without yielding: queues cleared, partitions resumed, flow resumed."""

    logger = logging.getLogger("faust.tables")

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        # Stock takes a time-out for a stop, and recovers nothing ever after. What is waited for
        # here ends when Kafka is back, and another rebalance ends the wait.
        await super()._wait(coro)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Resume the source partitions.

        Raises whatever a table's own completion raises; stock swallows it.
        """
        await self.app.on_rebalance_complete.send()
        self._set_recovery_ended()
        tables = cast("list[CollectionT]", list(self.tables.values()))
        await asyncio.gather(
            *(
                table.on_recovery_completed(
                    self.actives_for_table[table], self.standbys_for_table[table]
                )
                for table in tables
            )
        )
        await self._resume(generation_id)

    async def _resume_streams(self, generation_id: int = 0) -> None:
        # An app without tables comes this way.
        await self.app.on_rebalance_complete.send()
        await self._resume(generation_id)

    async def _resume(self, generation_id: int) -> None:
        app, consumer = self.app, self.app.consumer
        if app.consumer_generation_id != generation_id:
            return  # Another rebalance has begun, and will come here again.
        assignment = consumer.assignment()
        if assignment:
            await self._wait(consumer.perform_seek())
            if app.consumer_generation_id != generation_id:
                return
        app.flow_control.resume()
        consumer.resume_partitions({tp for tp in assignment if not self._is_changelog_tp(tp)})
        consumer.resume_flow()
        self.completed.set()
        await app._fetcher.maybe_start()  # type: ignore[attr-defined] # of Faust's App
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()


class TableManager(manager.TableManager):
    """Faust's table manager, with our recovery."""

    logger = logging.getLogger("faust.tables")

    @property
    def recovery(self) -> Recovery:
        """The recovery service of these tables."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast("Recovery", self._recovery)

    async def on_start(self) -> None:
        """Start without stock's one second of waiting: our tables are all made before."""
        await self._update_channels()
        await self.recovery.start()
