"""The ledger of a partition: which deliveries are acknowledged, and how far it may be committed."""

from collections import deque


class Delivery:
    """A batch that was handed out: its records' first and last offset, acknowledged or not."""

    __slots__ = ("acknowledged", "first", "last")

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        self.acknowledged = False


class Ledger:
    """Commits the acknowledged prefix only: never past a record whose effects are not complete.

    Stock Faust counts offsets, and commits past what is unprocessed when acknowledgements come out
    of order or after a rewind (faust-streaming issue 606). Here a delivery is an object: one that
    was forgotten by a rewind can be acknowledged as late as it likes, it counts for nothing.
    """

    __slots__ = ("_committable", "_open")

    def __init__(self) -> None:
        self._open: deque[Delivery] = deque()
        self._committable: int | None = None

    def deliver(self, first: int, last: int) -> Delivery:
        """Note that the records from offset `first` to `last` were handed out."""
        while self._open and self._open[-1].last >= first:  # Rewound: these are read again.
            self._open.pop()
        delivery = Delivery(first, last)
        self._open.append(delivery)
        return delivery

    @property
    def committable(self) -> int | None:
        """The offset to go on from after a crash: one past the acknowledged prefix; None: none."""
        while self._open and self._open[0].acknowledged:
            self._committable = self._open.popleft().last + 1
        return self._committable

    @property
    def unacknowledged(self) -> int:
        """How many deliveries are not acknowledged."""
        return sum(not delivery.acknowledged for delivery in self._open)
