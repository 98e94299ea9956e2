"""The Faust table whose store is told what the broker has acknowledged."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import faust
from faust.exceptions import ImproperlyConfigured
from faust.streams import current_event

from tables.changelog import write_changes
from tables.partition import Partition
from tables.redis_store import RedisStore

log = logging.getLogger(__name__)


class RedisTable(faust.Table[Any, Any]):
    """A table that knows which of its changes are in the changelog; named by the App's `Table=`.

    Stock Faust only logs a change that could not be sent; here it ends the worker.
    """

    # Faust's chatter stays Faust's.
    logger = logging.getLogger("faust.tables")
    data: RedisStore
    reports_acknowledgements = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sends: defaultdict[int, set[asyncio.Task[None]]] = defaultdict(set)
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._failure: BaseException | None = None

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of `key`: one look-up. Stock encodes the key twice, raises and catches.

        Raises:
            PartitionLost: the partition of this event is not held here.
        """
        found = self.data.find(key)
        return default if found is None else found

    def __setitem__(self, key: Any, value: Any) -> None:
        """Write `value`, serialized once for memory and the changelog; stock does it for each.

        Raises:
            PartitionLost: the partition of this event is not held here; nothing is written.
        """
        self.data.put(*self.data.encode(key, value))

    def on_key_set(self, key: Any, value: Any) -> None:
        """Do nothing: the store notes what changes, and `settle` sends it. Stock sends at once."""

    def on_key_del(self, key: Any) -> None:
        """Do nothing, as `on_key_set`."""

    async def settle(self) -> None:
        """Send the changes made in this event's partition since the last call, each key's last,
        and wait until the broker has acknowledged them.

        Before it returns, a record whose changes these are must not be acknowledged.

        Raises:
            PartitionLost: the partition is not held here; its changes are not sent.
            Exception: whatever a change could not be sent for; the worker is ending.
        """
        event = current_event()
        if event is None:
            raise TypeError("there is no event whose changes could be waited for")
        number = event.message.partition
        held = self.data.hold(number)
        if changes := held.take_unsent():
            # A task of its own: whatever becomes of the batch that waits here, what was taken is
            # sent. Memory has it, and nobody would write it again.
            sending = asyncio.create_task(self._send(number, held, changes))
            self._sends[number].add(sending)
            sending.add_done_callback(self._sends[number].discard)
        if sends := self._sends[number]:
            await asyncio.wait(set(sends))
        if self._failure is not None:
            raise self._failure

    async def _send(
        self, number: int, held: Partition, changes: Mapping[bytes, bytes | None]
    ) -> None:
        try:
            async with self._turns[number]:
                # Of what is held now: after a new claim the changelog is read anew, and a late
                # acknowledgement must not change what was read.
                producer = cast("Any", self.app.producer)._ensure_producer()
                topic = self.changelog_topic_name
                await write_changes(producer, topic, number, changes, held.acknowledge)
        except Exception as error:
            if self._failure is None:
                self._failure = error
                fields = {"table": self.name, "partition": number}
                log.exception("changelog_send_failed", extra=fields)
                self.add_future(self.crash(error))

    def on_clear(self) -> NoReturn:
        """Refuse: stock sends the deletions of all partitions into the current event's."""
        raise NotImplementedError("delete the keys of a table in Redis one by one")

    def using_window(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a windowed table's expiry is not in its changelog."""
        raise ImproperlyConfigured(f"table {self.name} is in Redis and cannot be windowed")
