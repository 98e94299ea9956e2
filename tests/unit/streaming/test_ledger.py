"""The prefix commit."""

from hypothesis import given
from hypothesis import strategies as st

from app.streaming.ledger import Delivery, Ledger


def test_committable_when_the_first_is_open_is_none() -> None:
    ledger = Ledger()
    ledger.deliver(0, 4)
    ledger.deliver(5, 9).acknowledged = True
    assert ledger.committable is None


def test_committable_after_a_rewind_ignores_late_acknowledgements() -> None:
    ledger = Ledger()
    first = ledger.deliver(0, 9)
    again = ledger.deliver(0, 4)
    first.acknowledged = True
    assert ledger.committable is None
    again.acknowledged = True
    assert ledger.committable == 5


@given(st.data())
def test_committable_is_the_acknowledged_prefix_whatever_the_order(data: st.DataObject) -> None:
    """Compare with a model that marks every single offset."""
    ledger, open_deliveries = Ledger(), list[Delivery]()
    done: set[int] = set()
    following = 0
    for _ in range(data.draw(st.integers(1, 25))):
        step = data.draw(st.sampled_from(["deliver", "acknowledge", "rewind"]))
        if step == "deliver":
            size = data.draw(st.integers(1, 5))
            open_deliveries.append(ledger.deliver(following, following + size - 1))
            following += size
        elif step == "acknowledge" and open_deliveries:
            chosen = data.draw(st.sampled_from(open_deliveries))
            chosen.acknowledged = True
            done |= set(range(chosen.first, chosen.last + 1))
        elif step == "rewind":
            # A rebalance reads again from what was committed.
            following = ledger.committable or 0
            open_deliveries.clear()
            done = set(range(following))
        prefix = next(i for i in range(len(done) + 1) if i not in done)
        assert (ledger.committable or 0) == prefix
