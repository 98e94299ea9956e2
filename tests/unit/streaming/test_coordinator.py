"""The mended group coordinator."""

from typing import Any

import pytest
from aiokafka.errors import IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from app.streaming import coordinator as module
from app.streaming import lease as lease_module
from app.streaming.coordinator import go_on_after_errors, renew_lease_with
from app.streaming.lease import Lease


class Coordinator:
    """Answers after 30 seconds, in which this process may have been frozen."""

    def __init__(self, clock: list[float], error_code: int) -> None:
        self._clock = clock
        self.error_code = error_code
        self.rejoins = 0
        self._push_error_to_user: Any = None

    async def _send_req(self, _: Any) -> Any:
        self._clock[0] += 30
        return self

    def request_rejoin(self) -> None:
        self.rejoins += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(lease_module, "_now", lambda: now[0])
    return now


HEARTBEAT = HeartbeatRequest("group", 1, "member")
SYNC = SyncGroupRequest("group", 1, "member", None, [])
JOIN = JoinGroupRequest("group", 1, 1, "member", None, "consumer", [])
COMMIT = OffsetCommitRequest("group", 1, "member", -1, [])


@pytest.mark.parametrize(
    ("request_", "error_code", "is_renewed"),
    [
        (HEARTBEAT, 0, True),
        (HEARTBEAT, RebalanceInProgressError.errno, True),
        (HEARTBEAT, UnknownMemberIdError.errno, False),
        (HEARTBEAT, IllegalGenerationError.errno, False),
        (SYNC, 0, True),
        (JOIN, 0, False),
        (COMMIT, 0, False),
    ],
)
async def test_lease_is_renewed_by_answers_to_a_member_alone(
    clock: list[float], request_: Any, error_code: int, is_renewed: bool
) -> None:
    lease = Lease(100)
    clock[0] += 60
    coordinator: Any = Coordinator(clock, error_code)
    renew_lease_with(coordinator, lease)
    await coordinator._send_req(request_)  # 90 s after the lease began, which holds for 70.
    assert lease.is_held == is_renewed


async def test_lease_counts_from_when_the_question_was_sent(clock: list[float]) -> None:
    lease = Lease(40)
    coordinator: Any = Coordinator(clock, 0)
    renew_lease_with(coordinator, lease)
    await coordinator._send_req(HEARTBEAT)
    assert not lease.is_held


async def test_any_error_leads_to_another_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0)
    coordinator: Any = Coordinator([0.0], 0)
    go_on_after_errors(coordinator)
    await coordinator._push_error_to_user(RuntimeError("unheard of"))
    assert coordinator.rejoins == 1
