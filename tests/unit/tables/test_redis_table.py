"""What a table in Redis refuses. Nothing here connects."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.exceptions import ImproperlyConfigured
from faust.streams import _current_event

from app.errors import PartitionLost
from tables.redis_store import RedisStore
from tables.redis_table import RedisTable


class Event:
    """What tables find their partition by."""

    message = SimpleNamespace(partition=0)


@contextmanager
def an_event() -> Iterator[None]:
    """Be in the event of a stream."""
    event: Any = Event()
    token = _current_event.set(weakref.ref(event))
    try:
        yield
    finally:
        _current_event.reset(token)


def create_app(**settings: Any) -> faust.App:
    chosen = {"Table": RedisTable, "table_standby_replicas": 0, **settings}
    return faust.App("group", store="redis://127.0.0.1:1/0", **chosen)


def test_store_is_chosen_by_the_scheme_of_its_url() -> None:
    assert isinstance(create_app().Table("t").data, RedisStore)


def test_change_outside_of_an_event_raises() -> None:
    table: Any = create_app().Table("t")
    with pytest.raises(TypeError, match="outside of"):
        table["a"] = 1
    with pytest.raises(TypeError, match="outside of"):
        table.data["a"] = 1
    with pytest.raises(TypeError, match="outside of"):
        del table.data["a"]


async def test_change_of_partition_that_is_not_held_raises_and_settles_nothing() -> None:
    table: Any = create_app().Table("t")
    with an_event(), pytest.raises(PartitionLost):
        table["a"] = 1
    with an_event(), pytest.raises(PartitionLost):
        await table.settle()


def test_clear_is_refused() -> None:
    table: Any = create_app().Table("t")
    with pytest.raises(NotImplementedError):
        table.clear()


def test_partitioner_and_global_table_are_refused() -> None:
    app = create_app()
    with pytest.raises(ImproperlyConfigured, match="one writer"):
        _ = app.Table("t", use_partitioner=True).data
    with pytest.raises(ImproperlyConfigured, match="one writer"):
        _ = app.GlobalTable("g").data


def test_window_is_refused() -> None:
    app = create_app()
    with pytest.raises(ImproperlyConfigured, match="windowed"):
        app.Table("t").tumbling(10)
    with pytest.raises(ImproperlyConfigured, match="windowed"):
        app.Table("u", window=faust.windows.TumblingWindow(10))


def test_stock_table_is_refused() -> None:
    app = create_app(Table=faust.Table)
    with pytest.raises(ImproperlyConfigured, match="RedisTable"):
        _ = app.Table("t").data


def test_standby_replicas_are_refused() -> None:
    app = create_app(table_standby_replicas=1)
    with pytest.raises(ImproperlyConfigured, match="standby"):
        _ = app.Table("t").data
