"""aiokafka's group coordinator, mended: it renews the lease, halts at no error, beats early.

Replaces private methods of aiokafka 0.14.0: `_send_req`, `_push_error_to_user` and
`_on_join_complete`.
"""

import asyncio
import logging
from typing import Any, Final

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NoError, RebalanceInProgressError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from app.streaming.lease import Lease

log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 1.0
_IS_KNOWN: Final = (NoError.errno, RebalanceInProgressError.errno)
"""Answers that a coordinator gives to a member of its group only."""


def renew_lease_with(coordinator: GroupCoordinator, lease: Lease) -> None:
    """Let every answer that says we are a member renew `lease`, as of when it was asked for."""
    send = coordinator._send_req

    async def send_and_renew(request: Any) -> Any:
        sent_at = lease.now
        response = await send(request)
        is_of_member = isinstance(request, HeartbeatRequest | SyncGroupRequest)
        if is_of_member and response.error_code in _IS_KNOWN:
            lease.renew(sent_at)
        return response

    coordinator._send_req = send_and_renew


def go_on_after_errors(coordinator: GroupCoordinator) -> None:
    """Join the group again after any error.

    aiokafka halts until its user has asked for the error, and Faust never asks: the worker goes on
    to consume, without heartbeats, and nothing is ever committed again.
    """

    async def rejoin(error: BaseException) -> None:
        log.error("coordination_failed", extra={"error": repr(error)})
        coordinator.request_rejoin()
        await asyncio.sleep(_PAUSE_SECONDS)

    coordinator._push_error_to_user = rejoin


def beat_from_the_assignment_on(coordinator: GroupCoordinator) -> None:
    """Send heartbeats as soon as the group has given us partitions, as Kafka's own client does.

    aiokafka begins when the assignment has been dealt with: a worker that loads its tables for
    longer than a session loses its partitions, and begins again.
    """
    complete = coordinator._on_join_complete

    async def beat_and_complete(*assignment: Any) -> None:
        coordinator._start_heartbeat_task()
        await complete(*assignment)

    coordinator._on_join_complete = beat_and_complete
