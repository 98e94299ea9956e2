"""Joins on their way to being memberships: whatever fails, those who come later are entered."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any, cast

import orjson
import pytest
from pymongo.errors import AutoReconnect

from app.archive.channels import Channels
from app.archive.members import Members, Pair
from app.publisher import Publisher
from web import crowds
from web import entries as module
from web.entries import Entries


class Servers:
    """MongoDB and Kafka as entries see them: every channel is open, nobody a member before."""

    def __init__(self) -> None:
        self.groups: list[list[Pair]] = []
        self.confirmed: list[Pair] = []
        self.errors: list[Exception] = []
        self.unheard: set[str] = set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.asked = asyncio.Event()

    async def wait_for(self, pair: Pair) -> None:
        """Return when this membership is confirmed."""
        async with asyncio.timeout(10):
            while pair not in self.confirmed:
                await asyncio.sleep(0.005)

    async def ensure(self, channel_ids: Collection[str]) -> dict[str, str]:
        self.asked.set()
        await self.answering.wait()
        if self.errors:
            raise self.errors.pop()
        return dict.fromkeys(channel_ids, "open")

    async def enter(self, pairs: Collection[Pair], is_open: Collection[str]) -> list[Pair]:
        self.groups.append(list(pairs))
        return [pair for pair in pairs if pair[0] in is_open]

    async def publish_unstored(
        self, _: Any, records: Iterable[tuple[str, bytes]], __: str
    ) -> list[bool]:
        return [orjson.loads(value)["userId"] not in self.unheard for _, value in records]

    async def confirm(self, pairs: Collection[Pair]) -> None:
        self.confirmed += pairs


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
async def entries(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Entries]:
    monkeypatch.setattr(crowds, "GATHER_SECONDS", 0.01)
    monkeypatch.setattr(crowds, "CROWD_SECONDS", 0.01)
    entries = Entries(cast(Channels, servers), cast(Members, servers), cast(Publisher, servers))
    yield entries
    await entries.stop()


async def test_joins_that_come_together_are_one_group(servers: Servers, entries: Entries) -> None:
    for number in range(100):
        entries.add(f"u{number}", ["c"])
    entries.add("u0", ["c", "d"])
    await servers.wait_for(("d", "u0"))
    assert [len(group) for group in servers.groups] == [101]
    assert len(servers.confirmed) == 101


@pytest.mark.parametrize("error", [AutoReconnect(), LookupError()])
async def test_group_that_fails_takes_no_later_one_with_it(
    servers: Servers, entries: Entries, error: Exception
) -> None:
    servers.errors.append(error)
    entries.add("ann", ["c"])
    await asyncio.wait_for(servers.asked.wait(), 10)
    entries.add("bob", ["c"])
    await servers.wait_for(("c", "bob"))
    entries.add("ann", ["c"])
    await servers.wait_for(("c", "ann"))
    assert servers.confirmed == [("c", "bob"), ("c", "ann")]


async def test_membership_that_kafka_has_not_got_is_not_confirmed(
    servers: Servers, entries: Entries
) -> None:
    servers.unheard.add("bob")
    for user in ("ann", "bob", "carol"):
        entries.add(user, ["c"])
    await servers.wait_for(("c", "carol"))
    assert servers.confirmed == [("c", "ann"), ("c", "carol")]


async def test_joins_beyond_the_bound_are_left_to_the_next_join(
    servers: Servers, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    for user in ("ann", "bob", "carol"):
        entries.add(user, ["c"])
    await servers.wait_for(("c", "bob"))
    assert servers.groups == [[("c", "ann"), ("c", "bob")]]


async def test_join_that_waits_makes_nobody_a_member_who_has_left_since(
    servers: Servers, entries: Entries
) -> None:
    entries.add("ann", ["c", "d"])
    await entries.withdraw("ann", "c")
    await servers.wait_for(("d", "ann"))
    assert servers.confirmed == [("d", "ann")]


async def test_leave_waits_for_a_join_that_is_being_entered(
    servers: Servers, entries: Entries
) -> None:
    servers.answering.clear()
    entries.add("ann", ["c"])
    await asyncio.wait_for(servers.asked.wait(), 10)
    leaving = asyncio.create_task(entries.withdraw("ann", "c"))
    left, _ = await asyncio.wait([leaving], timeout=0.05)
    assert not left
    servers.answering.set()
    await asyncio.wait_for(leaving, 10)
    assert servers.confirmed == [("c", "ann")]
