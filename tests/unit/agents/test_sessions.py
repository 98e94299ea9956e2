"""The rules of sessions: whatever comes again, the sessions are those of each record once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents.sessions import CLOSING_MS, MOST_SESSIONS, Active, Session, apply
from app.records import SessionClosing, SessionEvent, SessionExpired, UserJoined, UserLeft
from tables.positions import Position

TYPES: dict[str, type[SessionEvent]] = {
    "user_joined": UserJoined,
    "user_left": UserLeft,
    "session_closing": SessionClosing,
    "session_expired": SessionExpired,
}
NOW = 1_000_000


def event(
    kind: str, session: str = "s1", user: str = "u1", gateway: str = "g1", name: str = "Ann"
) -> SessionEvent:
    fields = {"channelId": "c", "userId": user, "userName": name, "sessionId": session,
              "gatewayId": gateway}  # fmt: skip
    head: dict[str, Any] = {"type": kind, "eventId": "e", "occurredAt": "2026-01-01T00:00:00.000Z"}
    return TYPES[kind].from_data({**head, **fields})


def at(offset: int, incarnation: str = "i") -> Position:
    return Position(incarnation, 0, offset)


def fold(*events: SessionEvent, held: Active | None = None) -> Active | None:
    for offset, each in enumerate(events):
        held = apply(held, each, at(offset), NOW)
    return held


def test_join_lasts_as_long_as_its_gateway() -> None:
    held = fold(event("user_joined"))
    assert held is not None
    assert held.sessions == {"s1": Session("g1", 0)}
    assert not held.sessions["s1"].is_over(set(), NOW * 2)
    assert held.sessions["s1"].is_over({"g1"}, NOW)


def test_closing_session_lasts_ten_seconds_whatever_its_gateway_does() -> None:
    held = fold(event("user_joined"), event("session_closing"))
    assert held is not None
    session = held.sessions["s1"]
    assert not session.is_over({"g1"}, NOW + CLOSING_MS - 1)
    assert session.is_over(set(), NOW + CLOSING_MS)


def test_user_is_active_until_the_last_session_is_left() -> None:
    tabs = [event("user_joined", "s1"), event("user_joined", "s2"), event("user_left", "s1")]
    assert fold(*tabs) is not None
    assert fold(*tabs, event("user_left", "s2")) is None


def test_expiry_under_an_earlier_lease_ends_nothing() -> None:
    held = fold(event("user_joined"), event("user_joined", gateway="g2"), event("session_expired"))
    assert held is not None
    assert held.sessions == {"s1": Session("g2", 0)}
    assert apply(held, event("session_expired", gateway="g2"), at(9), NOW) is None


def test_closing_of_an_unknown_session_makes_none() -> None:
    assert fold(event("session_closing")) is None


def test_user_who_comes_and_goes_again_and_again_has_one_closing_session() -> None:
    held = fold(event("user_joined", "tab"))
    for n in range(20):
        held = apply(held, event("user_joined", f"s{n}"), at(2 * n + 1), NOW + n)
        held = apply(held, event("session_closing", f"s{n}"), at(2 * n + 2), NOW + n)
    assert held is not None
    assert held.sessions == {"tab": Session("g1", 0), "s19": Session("g1", NOW + 19 + CLOSING_MS)}


def test_user_with_more_sessions_than_are_kept_has_the_last_of_them() -> None:
    names = [f"s{number}" for number in range(MOST_SESSIONS + 2)]
    held = fold(*(event("user_joined", name) for name in names))
    assert held is not None
    assert list(held.sessions) == names[2:]


def test_user_whose_last_tab_is_left_has_the_grace_of_the_one_that_closed() -> None:
    tabs = [event("user_joined", "s1"), event("user_joined", "s2")]
    held = fold(*tabs, event("session_closing", "s1"), event("user_left", "s2"))
    assert held is not None
    assert held.sessions == {"s1": Session("g1", NOW + CLOSING_MS)}
    assert apply(held, event("session_expired", "s1"), at(9), NOW) is None


def test_closing_that_comes_again_without_its_join_still_takes_the_place_of_an_earlier_one() -> (
    None
):
    log = [
        event("user_joined", "s1"),
        event("user_joined", "s2"),
        event("session_closing", "s2"),
        event("session_closing", "s1"),
        event("session_expired", "s1"),
    ]
    assert fold(*log) is None
    assert fold(*log[1:]) is None


def test_record_at_or_below_the_position_changes_nothing() -> None:
    held = fold(event("user_joined"), event("user_joined", "s2"))
    assert apply(held, event("user_left", "s2"), at(1), NOW) is held


def test_record_of_another_incarnation_is_applied_whatever_its_offset() -> None:
    held = fold(event("user_joined"), event("user_joined", "s2"))
    after = apply(held, event("user_left", "s2"), at(0, "j"), NOW)
    assert after is not None
    assert after.sessions.keys() == {"s1"}


def test_name_is_the_last_that_was_joined_with() -> None:
    held = fold(event("user_joined"), event("user_joined", "s2", name="Anna"))
    assert held is not None
    assert held.name == "Anna"


records = st.tuples(
    st.sampled_from(sorted(TYPES)),
    st.sampled_from(["s1", "s2", "s3"]),
    st.sampled_from(["u1", "u2"]),
    st.sampled_from(["g1", "g2"]),
)


def model(log: list[tuple[str, str, str, str]]) -> dict[str, dict[str, tuple[str, bool]]]:
    """Sets of sessions, whether each is closing: the meaning of a log, each record once."""
    users: dict[str, dict[str, tuple[str, bool]]] = {}
    for kind, session, user, gateway in log:
        sessions = users.setdefault(user, {})
        if kind == "user_joined":
            sessions[session] = (gateway, False)
        elif kind == "user_left":
            sessions.pop(session, None)
        elif kind == "session_closing" and sessions:
            for key in [key for key, (_, is_closing) in sessions.items() if is_closing]:
                del sessions[key]
            sessions[session] = (gateway, True)
        elif kind == "session_expired" and sessions.get(session, ("", False))[0] == gateway:
            del sessions[session]
    return {user: sessions for user, sessions in users.items() if sessions}


@given(
    log=st.lists(records, max_size=30),
    crashes=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), max_size=5),
)
def test_any_interleaving_and_redelivery_is_each_record_once(
    log: list[tuple[str, str, str, str]], crashes: list[tuple[int, int]]
) -> None:
    """`crashes`: after how many more records, and how far the group goes back in the log."""
    table: dict[str, Active] = {}
    offset = 0
    stops = iter(crashes)
    left, back = next(stops, (len(log), 0))
    while offset < len(log):
        kind, session, user, gateway = log[offset]
        record = event(kind, session, user, gateway)
        active = apply(table.get(user), record, at(offset), NOW)
        if active is None:
            table.pop(user, None)
        else:
            table[user] = active
        offset += 1
        left -= 1
        if left == 0:
            offset = max(0, offset - back)
            left, back = next(stops, (len(log) + 1, 0))
    found = {
        user: {key: (s.gateway_id, s.expires_ms != 0) for key, s in active.sessions.items()}
        for user, active in table.items()
    }
    assert found == model(log)
