"""Logs."""

import logging

from app.telemetry.logs import Sparse


def record(logger: str, text: str, at: float) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": logger, "msg": text})
    made.created = at
    return made


def test_library_says_the_same_once_in_ten_seconds() -> None:
    sparse = Sparse()
    assert sparse.filter(record("aiokafka.conn", "no %s", 100.0))
    assert not sparse.filter(record("aiokafka.conn", "no %s", 105.0))
    assert sparse.filter(record("aiokafka.conn", "other", 105.0))
    assert sparse.filter(record("aiokafka.conn", "no %s", 110.5))


def test_what_we_say_is_never_dropped() -> None:
    sparse = Sparse()
    assert all(sparse.filter(record("app.streaming.lanes", "x", 100.0)) for _ in range(3))
