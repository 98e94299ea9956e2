"""The audit's comparisons, without servers."""

from datetime import UTC, datetime, timedelta

import pytest

from app.audit import StreamState, check_log, check_numbers, check_records, check_states
from app.commands.audit import parse_time
from app.errors import CommandError

NOW = datetime(2026, 1, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("numbers", "findings"),
    [
        ([], []),
        ([1, 2, 3], []),
        ([2, 3], [("missing", "no message has number 1")]),
        ([1, 4, 5], [("missing", "no message has number 2 to 3")]),
        ([1, 2, 2, 3], [("doubled", "number 2 is given twice")]),
    ],
)
def test_numbers_are_one_to_n(numbers: list[int], findings: list[tuple[str, str]]) -> None:
    assert [(f.kind, f.detail) for f in check_numbers(numbers)] == findings


@pytest.mark.parametrize(("age_seconds", "count"), [(5, 0), (11, 1)])
def test_message_is_pending_only_after_its_ordinary_way(age_seconds: int, count: int) -> None:
    # Published again a moment ago.
    changed_at = NOW - timedelta(seconds=age_seconds)
    document = {"_id": "m", "changedAt": changed_at, "pendingSince": NOW}
    assert [f.kind for f in check_states([document], NOW)] == ["pending"] * count


def test_message_from_before_the_time_needs_no_record() -> None:
    documents = [{"_id": "old", "createdAt": NOW - timedelta(days=1)}]
    assert check_records(documents, [], {}, NOW) == []


def frame(seq: int, number: int, message: str = "m", epoch: str = "aaaaaaaa") -> tuple[str, bytes]:
    text = (
        f'{{"type":"message","channelId":"c","seq":{seq},"cursor":"{epoch}.{seq}.{number}.1",'
        f'"data":{{"id":"{message}{number}","rev":1,"number":{number}}}}}'
    )
    return f"{seq}-0", text.encode()


def kinds(*entries: tuple[str, bytes], seq: int) -> list[str]:
    state = StreamState({"epoch": "aaaaaaaa", "seq": str(seq), "number": "9"}, entries, [])
    known = {f["data"]["id"]: f["data"]["number"] for f in state.frames}
    return [finding.kind for finding in check_log(state, known)]


def test_sound_log_has_no_findings() -> None:
    assert kinds(frame(1, 4), frame(2, 5), frame(3, 6), seq=3) == []


def test_hole_in_the_log_is_missing() -> None:
    assert kinds(frame(1, 4), frame(3, 5), seq=3) == ["missing"]


def test_message_twice_in_the_log_is_doubled() -> None:
    assert kinds(frame(1, 4), frame(2, 4), seq=2) == ["doubled"]


def test_skipped_number_in_the_log_is_missing() -> None:
    assert kinds(frame(1, 4), frame(2, 6), seq=2) == ["missing"]


def test_lower_number_later_in_the_log_is_out_of_order() -> None:
    assert "out_of_order" in kinds(frame(1, 6), frame(2, 5), seq=2)


def test_cursor_of_another_epoch_differs() -> None:
    assert kinds(frame(1, 4), frame(2, 5, epoch="bbbbbbbb"), seq=2) == ["differs"]


def test_time_is_read_absolute_and_ago() -> None:
    assert parse_time("2026-01-22T12:00:00Z") == NOW
    assert parse_time("2026-01-22T12:00:00") == NOW
    since = parse_time("90m")
    assert timedelta(minutes=90) <= datetime.now(UTC) - since < timedelta(minutes=91)
    for text in ("yesterday", "5", "1y", ""):
        with pytest.raises(CommandError):
            parse_time(text)
