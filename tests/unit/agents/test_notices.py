"""How often a channel's clients are told who comes and goes."""

from typing import Any

import orjson

from agents.notices import NAMED_USERS, SINGLY, Change, Notices


def came(number: int) -> Change:
    return Change(f"u{number}", f"User {number}", has_come=True)


def left(number: int) -> Change:
    return Change(f"u{number}", f"User {number}", has_come=False)


def decoded(frames: list[tuple[str, bytes]]) -> list[tuple[str, Any]]:
    return [(channel, orjson.loads(frame)) for channel, frame in frames]


def test_change_goes_out_singly_and_at_once() -> None:
    frame = Notices().add("c", came(1), 1, 0.0)
    assert frame is not None
    assert frame.startswith(b'{"type":"user_joined"')
    assert orjson.loads(frame) == {
        "type": "user_joined",
        "channelId": "c",
        "data": {"userId": "u1", "userName": "User 1"},
    }


def test_eleventh_change_of_a_second_waits_for_its_end() -> None:
    notices = Notices()
    singly = [notices.add("c", came(n), n + 1, 0.0) for n in range(SINGLY + 2)]
    assert [frame is not None for frame in singly] == [True] * SINGLY + [False] * 2
    assert notices.due(0.9) == []
    assert decoded(notices.due(1.0)) == [
        (
            "c",
            {
                "type": "presence",
                "channelId": "c",
                "data": {
                    "joined": [
                        {"userId": "u10", "userName": "User 10"},
                        {"userId": "u11", "userName": "User 11"},
                    ],
                    "left": [],
                    "count": 12,
                },
            },
        )
    ]
    assert not notices
    assert notices.add("c", left(1), 11, 1.1) is not None


def test_other_channels_have_seconds_of_their_own() -> None:
    notices = Notices()
    for n in range(SINGLY + 1):
        notices.add("c", came(n), n + 1, 0.0)
    assert notices.add("d", came(1), 1, 0.0) is not None


def test_user_who_came_and_left_within_the_rest_has_left() -> None:
    notices = Notices()
    for n in range(SINGLY + 1):
        notices.add("c", came(n), n + 1, 0.0)
    notices.add("c", left(SINGLY), SINGLY, 0.5)
    ((_, frame),) = decoded(notices.due(1.0))
    assert frame["data"] == {"joined": [], "left": [f"u{SINGLY}"], "count": SINGLY}


def test_user_who_was_renamed_within_the_rest_has_come() -> None:
    notices = Notices()
    for n in range(SINGLY + 1):
        notices.add("c", came(n), n + 1, 0.0)
    notices.add("c", Change(f"u{SINGLY}", "Anna", has_come=True), SINGLY + 1, 0.5)
    ((_, frame),) = decoded(notices.due(1.0))
    assert frame["data"]["joined"] == [{"userId": f"u{SINGLY}", "userName": "Anna"}]


def test_large_channel_is_told_its_count_alone_once_a_second() -> None:
    notices = Notices()
    for n in range(1000):
        assert notices.add("c", came(n), NAMED_USERS + 1 + n, 0.0) is None
    assert decoded(notices.due(1.0)) == [
        (
            "c",
            {
                "type": "presence",
                "channelId": "c",
                "data": {"joined": [], "left": [], "count": NAMED_USERS + 1000},
            },
        )
    ]
