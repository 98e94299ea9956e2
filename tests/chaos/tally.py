"""What a run counts, and what it complains of."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

KINDS = ("lost", "gap", "doubled", "out_of_order", "differs", "refused", "process")
"""`gap`: something was left out without a word; `lost`: it was never made good. `differs`: a copy
is not what it should be; `refused`: an answer that the contract does not know; `process`: a process
that ended otherwise than it may."""


@dataclass
class Tally:
    """Counts of everybody's; one a run."""

    sent: int = 0
    accepted: int = 0
    retried: int = 0
    changes: int = 0
    delivered: int = 0
    by_log: int = 0
    by_history: int = 0
    by_reload: int = 0
    resynced: int = 0
    reloads: int = 0
    connections: int = 0
    complaints: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)
    say: Callable[[str], None] = lambda _: None

    def complain(self, kind: str, detail: str) -> None:
        """Something is wrong; the first details are kept."""
        assert kind in KINDS
        self.complaints[kind] += 1
        if self.complaints[kind] <= 20:
            self.details.append(f"{kind}: {detail}")
            self.say(f"complaint: {kind}: {detail[:300]}")

    @property
    def is_clean(self) -> bool:
        """Whether nobody complained."""
        return not self.complaints
