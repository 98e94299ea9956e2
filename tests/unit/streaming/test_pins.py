"""Private methods of the libraries are overridden: their versions are pinned, their names checked.

A new version is adopted by reading what docs/faust.md says of each, and by tests/regression/.
"""

from contextvars import ContextVar
from importlib import import_module
from importlib.metadata import version

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust import App
from faust.streams import _current_event
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver


@pytest.mark.parametrize(
    ("library", "pinned"),
    [("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1"), ("aiokafka", "0.14.0")],
)
def test_library_whose_private_methods_are_overridden_is_pinned(library: str, pinned: str) -> None:
    assert version(library) == pinned


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (App, "_new_transport"),
        (App, "_create_directories"),
        (driver.Producer, "_ensure_producer"),
        (driver.Consumer, "_new_consumer_thread"),
        (driver.Consumer, "_drain_messages"),
        (driver.Consumer, "_get_active_partitions"),
        (driver.Consumer, "_is_changelog_tp"),
        (driver.Consumer, "force_commit"),
        (driver.Consumer, "perform_seek"),
        (driver.Consumer, "resume_partitions"),
        (driver.Consumer, "stop_flow"),
        (driver.Consumer, "wait_empty"),
        (driver.Consumer, "maybe_wait_for_commit_to_finish"),
        (driver.Consumer, "verify_all_partitions_active"),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer"),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer"),
        (driver.AIOKafkaConsumerThread, "_fetch_records"),
        (driver.AIOKafkaConsumerThread, "_seek_wait"),
        (driver.AIOKafkaConsumerThread, "_commit"),
        (GroupCoordinator, "_send_req"),
        (GroupCoordinator, "_push_error_to_user"),
        (GroupCoordinator, "_on_join_complete"),
        (GroupCoordinator, "_start_heartbeat_task"),
        (GroupCoordinator, "fetch_committed_offsets"),
        (Fetcher, "_get_actions_per_node"),
        (AIOKafkaConsumer, "seek"),
        (TableManager, "_update_channels"),
        (Recovery, "_wait"),
        (Recovery, "_resume_streams"),
        (Recovery, "on_recovery_completed"),
        (Recovery, "_set_recovery_ended"),
        (Recovery, "_is_changelog_tp"),
    ],
)
def test_private_method_that_is_used_exists(owner: type, name: str) -> None:
    assert callable(getattr(owner, name))


def test_stream_loop_is_the_compiled_one() -> None:
    """The one in Python acknowledges events of an older generation."""
    assert str(import_module("faust._cython.streams").__file__).endswith(".so")


def test_current_event_is_where_tables_look_for_it() -> None:
    assert isinstance(_current_event, ContextVar)
