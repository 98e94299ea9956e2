"""The work that a rule is given: the typed records of one batch, and what it may do about them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

from aiokafka import ConsumerRecord

from app.records import Event
from app.stream_log.log import Source
from app.streaming.lease import Lease

Barrier = TypeVar("Barrier")
"""What a rule must still see to before a batch may be acknowledged; the rule alone knows it."""

_LEASE_CHECK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Received:
    """A record that was decoded."""

    raw: ConsumerRecord
    event: Event

    @property
    def offset(self) -> int:
        """Its place in the partition."""
        return int(self.raw.offset)

    @property
    def at(self) -> datetime:
        """When it was sent, by its sender's clock."""
        return datetime.fromtimestamp(self.raw.timestamp / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Refused:
    """A record for the dead letters, with the reason of docs/events.md."""

    raw: ConsumerRecord
    reason: str
    error: str
    attempts: int = 1


@dataclass(slots=True)
class Work:
    """One attempt's view of a batch."""

    source: Source
    received: list[Received]
    lease: Lease
    refused: list[Refused] = field(default_factory=list)
    is_irrevocable: bool = False
    """Numbers are durable: from here on a failure is tried again for ever, never dead-lettered."""
    is_urgent: bool = False
    """Somebody waits for what its barrier does: it is not to wait for company."""

    def refuse(self, item: Received, reason: str, error: str) -> None:
        """Send a record to the dead letters, before this batch is acknowledged."""
        self.refused.append(Refused(item.raw, reason, error))

    async def ensure_lease(self) -> None:
        """Return when this worker may write.

        A worker that was frozen waits here until a heartbeat says that it is still known, or until
        the rebalance that follows ends its lanes.
        """
        while not self.lease.is_held:  # noqa: ASYNC110 - time alone ends a lease: there is no event
            await asyncio.sleep(_LEASE_CHECK_SECONDS)


class Rule(Protocol[Barrier]):
    """What an agent does with its records; the loop around it is the same for all agents."""

    async def handle(self, work: Work) -> Barrier | None:
        """Bring about the effects of a batch; every step must be safe to repeat.

        Returns what is left to do before it may be acknowledged, if anything is.

        Raises anything: what passes by itself (`failures.is_transient`) is tried again for ever,
        anything else three times, then record by record, so that the right one is blamed.
        """

    async def settle(self, barriers: Sequence[Barrier]) -> None:
        """Return when the batches of the current event's partition may be acknowledged: Kafka has
        their table writes, and what they left, in order, is done. Safe to repeat.

        It may run while the partition's next batch is worked on.
        """

    def forget(self, partition: int) -> None:
        """Drop what was remembered of a partition: it is not ours now, or a batch has failed."""
