"""What agents leave to be done before their batches are acknowledged."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.mentions import Mention
from app.archive.marks import Election


@dataclass(frozen=True, slots=True)
class Barrier:
    """A majority must have what MongoDB was told, by the primary of `election` (docs/failure.md),
    and Kafka the `mentions`."""

    election: Election
    mentions: Sequence[Mention] = ()
