"""How long a fetch has the broker wait."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState

from app.streaming.fetches import (
    BUSY_WAIT_MS,
    QUIET_WAIT_MS,
    SETTLED_SECONDS,
    TAKE_SECONDS,
    wait_long_when_quiet,
)


class Quiet:
    """A fetcher, its clock and what it has fetched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("app.streaming.fetches.time.monotonic", lambda: self.now)
        self.seeks = 0
        self.assignment = object()
        self.looked = 0
        self.fetcher: Any = SimpleNamespace(
            _records={}, _fetch_waiters=set(), _get_actions_per_node=self._look
        )
        wait_long_when_quiet(self.fetcher, lambda tp: tp.topic == "source", lambda: self.seeks)

    def _look(self, _: object) -> tuple[object, ...]:
        self.looked += 1
        return ([("node", "request")], {}, 1.0, False, [])

    def wait_ms(self, *, after_seconds: float = 0.0) -> int:
        self.now += after_seconds
        self.fetcher._get_actions_per_node(self.assignment)
        wait_ms: int = self.fetcher._fetch_max_wait_ms
        return wait_ms


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Quiet:
    quiet = Quiet(monkeypatch)
    assert quiet.wait_ms() == BUSY_WAIT_MS
    assert quiet.wait_ms(after_seconds=SETTLED_SECONDS + 1) == QUIET_WAIT_MS
    return quiet


def test_fetch_beside_records_that_are_not_taken_waits_shortly(quiet: Quiet) -> None:
    quiet.fetcher._records[TopicPartition("changelog", 0)] = object()
    assert quiet.wait_ms() == QUIET_WAIT_MS
    quiet.fetcher._records[TopicPartition("source", 0)] = object()
    assert quiet.wait_ms() == BUSY_WAIT_MS


def test_fetch_soon_after_a_seek_waits_shortly(quiet: Quiet) -> None:
    quiet.seeks += 1
    assert quiet.wait_ms() == BUSY_WAIT_MS


def test_fetch_soon_after_an_assignment_waits_shortly(quiet: Quiet) -> None:
    quiet.assignment = object()
    assert quiet.wait_ms() == BUSY_WAIT_MS


async def test_partitions_are_not_looked_at_before_records_are_taken(quiet: Quiet) -> None:
    waiter = asyncio.get_running_loop().create_future()
    quiet.fetcher._fetch_waiters.add(waiter)
    before = quiet.looked
    waiter.set_result(None)
    requests, resets, seconds, *_ = quiet.fetcher._get_actions_per_node(quiet.assignment)
    assert (requests, resets, seconds, quiet.looked) == ([], {}, TAKE_SECONDS, before)
    quiet.fetcher._fetch_waiters.remove(waiter)
    quiet.wait_ms()
    assert quiet.looked == before + 1


async def test_waiter_of_aiokafka_when_told_is_gone_after_one_turn_of_the_loop() -> None:
    fetcher = Fetcher(AIOKafkaClient(), SubscriptionState())
    waiter = fetcher._create_fetch_waiter()
    fetcher._notify(waiter)
    assert fetcher._fetch_waiters == {waiter}
    await asyncio.sleep(0)
    assert fetcher._fetch_waiters == set()
    await fetcher.close()
