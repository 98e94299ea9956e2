"""Ids ascend in the order in which they are made."""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.ids import first_id, is_message_id, new_id


def test_ids_ascend_within_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(set(ids))


def test_ids_ascend_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    before = new_id()
    monkeypatch.setattr(time, "time_ns", lambda: now - 3_600_000_000_000)
    after = [new_id() for _ in range(100)]
    assert [before, *after] == sorted({before, *after})


def test_id_is_a_uuid_of_version_7_that_tells_the_time() -> None:
    before_ms = time.time_ns() // 1_000_000
    for _ in range(1000):
        made = new_id()
        value = UUID(made)
        assert is_message_id(made)
        assert (str(value), value.version, value.variant) == (made, 7, "specified in RFC 4122")
        assert before_ms - 1 <= value.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_first_id_of_a_time_is_below_the_ids_made_from_then_on() -> None:
    now = datetime.now(UTC)
    assert first_id(now - timedelta(seconds=1)) < new_id() < first_id(now + timedelta(minutes=1))
