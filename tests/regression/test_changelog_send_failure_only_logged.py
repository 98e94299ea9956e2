"""A table's change that does not get into its changelog is logged, and the source committed."""

import asyncio
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.errors import KafkaTimeoutError

from tables import redis_table
from tables.partition import Partition
from tables.redis_table import RedisTable
from tests.support.flavours import Flavour, Ours


async def settle_in_vain(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change a key, and find that Kafka does not take it."""
    partition = Partition({})
    partition.set(b"key", b"value")
    monkeypatch.setattr(table.data, "hold", lambda _: partition)
    event = SimpleNamespace(message=SimpleNamespace(partition=0))
    monkeypatch.setattr(redis_table, "current_event", lambda: event)

    async def fail(*_: Any) -> None:
        raise KafkaTimeoutError

    monkeypatch.setattr(table.app.producer, "_ensure_producer", lambda: None)
    monkeypatch.setattr(redis_table, "write_changes", fail)
    with pytest.raises(KafkaTimeoutError):
        await table.settle()


async def test_change_that_could_not_be_sent_ends_the_worker(
    flavour: type[Flavour], faust_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = faust_app
    app.conf.store = "redis://localhost:1/0" if flavour is Ours else "memory://"
    app.conf.Table = RedisTable if flavour is Ours else faust.Table
    table = app.Table("counts", partitions=1)
    if flavour is Ours:
        await settle_in_vain(table, monkeypatch)
    else:
        sent = table.send_changelog(0, b"key", b"value")
        sent.set_exception(KafkaTimeoutError())
    await asyncio.sleep(0.05)
    assert isinstance(table.crash_reason, KafkaTimeoutError)
