"""What a batch of the topic `notifications` comes to."""

from types import SimpleNamespace
from typing import Any, cast

from agents.notifications import Plan, make_plan
from app.archive.notifications import Place
from app.records import Notification, NotificationsRead
from app.stream_log.log import Source
from app.streaming.work import Received

SOURCE = Source("notifications", 0, "aaaaaaaa")
AT = "2026-01-01T00:00:00.000Z"


def told(offset: int, notification_id: str, at: str = AT) -> Received:
    event = Notification(
        type="notification",
        event_id=notification_id,
        occurred_at=at,
        id=notification_id,
        user_id="u",
        kind="k",
        data={"b": 1.0, "a": []},
    )
    return Received(cast("Any", SimpleNamespace(offset=offset)), event)


def read(offset: int, ids: list[str] | None) -> Received:
    event = NotificationsRead(
        type="notifications_read", event_id="e", occurred_at=AT, user_id="u", ids=ids
    )
    return Received(cast("Any", SimpleNamespace(offset=offset)), event)


def plan_of(*received: Received, **places: Place) -> Plan:
    return make_plan(SOURCE, received, places)


def place(offset: int, incarnation: str = "aaaaaaaa") -> Place:
    return Place(incarnation, 0, offset)


def test_new_notification_is_inserted_and_shown_with_its_data_as_given() -> None:
    plan = plan_of(told(5, "n"))
    assert [(each.id, each.place) for each in plan.inserts] == [("n", place(5))]
    assert plan.shown == plan.inserts
    assert plan.inserts[0].data == '{"b":1.0,"a":[]}'


def test_notification_delivered_again_is_shown_again_and_not_inserted() -> None:
    plan = plan_of(told(5, "n"), n=place(5))
    assert (len(plan.inserts), len(plan.shown), plan.published_twice) == (0, 1, 0)


def test_notification_published_twice_has_no_effect() -> None:
    for known in (place(4), place(5, "bbbbbbbb")):
        plan = plan_of(told(5, "n"), n=known)
        assert (plan.inserts, plan.shown, plan.published_twice) == ([], [], 1)
    plan = plan_of(told(5, "n"), told(6, "n"))
    assert ([each.place.offset for each in plan.inserts], plan.published_twice) == ([5], 1)


def test_last_record_of_a_user_is_what_the_count_stands_at() -> None:
    plan = plan_of(told(5, "n"), read(6, None), told(7, "n"))
    assert plan.last == {"u": place(6)}
    assert [each.ids for each in plan.readings] == [None]


def test_record_without_a_time_is_refused() -> None:
    for at in ("yesterday", "2026-01-01T00:00:00"):
        plan = plan_of(told(5, "n", at))
        assert [each.offset for each in plan.unreadable] == [5]
        assert not plan.shown
