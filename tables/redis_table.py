"""The Faust table whose store is told what the broker has acknowledged."""

import asyncio
import logging
from collections import defaultdict
from functools import partial
from typing import Any, NoReturn

import faust
from faust.exceptions import ImproperlyConfigured
from faust.streams import current_event
from faust.types import FutureMessage

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
        self._sends: defaultdict[int, set[FutureMessage]] = defaultdict(set)
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

    def send_changelog(
        self,
        partition: int | None,
        key: Any,
        value: Any,
        key_serializer: Any = None,
        value_serializer: Any = None,
    ) -> FutureMessage:
        """Send a change to the changelog.

        Raises:
            PartitionLost: the partition is not held here; nothing is sent.
        """
        if partition is None:
            raise TypeError("a table in Redis needs the partition of a stream's event")
        held = self.data.hold(partition)
        sent = super().send_changelog(partition, key, value, key_serializer, value_serializer)
        self._sends[partition].add(sent)
        # Bound to what is held now: after a new claim the changelog is read anew, and a late
        # acknowledgement must not change what was read.
        sent.add_done_callback(partial(self._on_answered, partition, held))
        return sent

    def _on_answered(self, number: int, held: Partition, sent: FutureMessage) -> None:
        self._sends[number].discard(sent)
        if sent.cancelled():
            return
        error = sent.exception()
        if error is None:
            message: Any = sent.message  # Key and value are bytes here: what the broker has got.
            held.acknowledge(sent.result().offset, message.key, message.value)
        elif self._failure is None:
            self._failure = error
            log.error("changelog_send_failed", extra={"table": self.name, "partition": number})
            self.add_future(self.crash(error))

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
        partition = event.message.partition
        for key, value in self.data.hold(partition).take_unsent().items():
            # Serialized already; and of a deletion, `json` would make the value "null".
            self.send_changelog(partition, key, value, "raw", "raw")
        if sends := self._sends[partition]:
            await asyncio.wait(set(sends))
        if self._failure is not None:
            raise self._failure

    def on_clear(self) -> NoReturn:
        """Refuse: stock sends the deletions of all partitions into the current event's."""
        raise NotImplementedError("delete the keys of a table in Redis one by one")

    def using_window(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a windowed table's expiry is not in its changelog."""
        raise ImproperlyConfigured(f"table {self.name} is in Redis and cannot be windowed")
