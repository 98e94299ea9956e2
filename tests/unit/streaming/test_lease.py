"""The lease."""

import pytest

from app.streaming import lease as module
from app.streaming.lease import Lease


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module, "_now", lambda: now[0])
    return now


def test_lease_ends_before_the_session_does(clock: list[float]) -> None:
    lease = Lease(10)
    clock[0] += 6.9
    assert lease.is_held
    clock[0] += 0.2
    assert not lease.is_held


def test_lease_counts_from_when_the_heartbeat_was_sent(clock: list[float]) -> None:
    lease = Lease(10)
    sent_at = lease.now
    clock[0] += 30  # Frozen between the heartbeat and its answer.
    lease.renew(sent_at)
    assert not lease.is_held
    lease.renew()
    assert lease.is_held
