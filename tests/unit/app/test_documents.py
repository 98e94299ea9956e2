"""How a message is rendered."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.archive.documents import format_time


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 22, 10, 15, 30, 123_999, UTC), "2026-01-22T10:15:30.123Z"),
        (datetime(2026, 1, 22, 10, 15, 30, 0, UTC), "2026-01-22T10:15:30.000Z"),
        (
            datetime(2026, 1, 22, 1, 0, 0, 5_000, timezone(timedelta(hours=2))),
            "2026-01-21T23:00:00.005Z",
        ),
    ],
)
def test_time_has_always_three_digits_and_z(value: datetime, text: str) -> None:
    assert format_time(value) == text
