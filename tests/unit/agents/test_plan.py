"""What a batch of message records comes to."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from agents.plan import Plan, make_plan
from app.archive.marks import Newest
from app.ids import new_id
from app.records import MessageCreated, MessageDeleted, MessageEvent, MessageUpdated
from app.stream_log.log import Source
from app.streaming.work import Received

SOURCE = Source("messages", 0, "aaaaaaaa")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def document(**fields: Any) -> dict[str, Any]:
    return {"_id": new_id(), "channelId": "c", "rev": 1, **fields}


def applied(rev: int, offset: int, incarnation: str = "aaaaaaaa", partition: int = 0) -> Any:
    mark = {"rev": rev, "offset": offset, "incarnation": incarnation, "partition": partition}
    return {"messages": mark}


def record(
    kind: type[MessageEvent], offset: int, of: dict[str, Any], rev: int = 1
) -> tuple[Received, MessageEvent]:
    event = kind(
        type="x",
        event_id=f"{of['_id']}:{rev}",
        occurred_at="2026-01-01T00:00:00.000Z",
        channel_id="c",
        rev=rev,
        message={"id": of["_id"]},
    )
    return Received(cast("Any", SimpleNamespace(offset=offset)), event), event


def plan_of(records: list[Any], documents: list[dict[str, Any]], newest: int = 0) -> Plan:
    return make_plan(
        SOURCE, records, {d["_id"]: d for d in documents}, {"c": Newest(newest, "before")}
    )


def test_creation_gets_a_number_above_those_of_its_batch_that_came_meanwhile() -> None:
    numbered, fresh = document(number=43, applied=applied(1, 5)), document()
    plan = plan_of([record(MessageCreated, 5, numbered), record(MessageCreated, 6, fresh)],
                   [numbered, fresh], newest=41)  # fmt: skip
    assert [c.number for c in plan.changes] == [43, 44]


def test_creations_get_the_next_numbers_in_order() -> None:
    first, second = document(), document()
    plan = plan_of([record(MessageCreated, 5, first), record(MessageCreated, 6, second)],
                   [first, second], newest=41)  # fmt: skip
    assert [(c.event_type, c.cache, c.number) for c in plan.changes] == [
        ("message", "push", 42),
        ("message", "push", 43),
    ]
    assert [mark.number for mark in plan.marks.values()] == [42, 43]


def test_creation_delivered_again_keeps_its_number_and_is_appended_again() -> None:
    again = document(number=7, applied=applied(1, 5))
    plan = plan_of([record(MessageCreated, 5, again)], [again], newest=9)
    assert [(c.event_type, c.number) for c in plan.changes] == [("message", 7)]
    assert not plan.marks


def test_creation_published_twice_has_no_effect() -> None:
    twice = document(number=7, applied=applied(1, 5))
    plan = plan_of([record(MessageCreated, 8, twice)], [twice], newest=9)
    assert (plan.changes, plan.marks, plan.published_twice) == ([], {}, 1)


def test_creation_twice_in_one_batch_has_one_effect() -> None:
    twice = document()
    plan = plan_of([record(MessageCreated, 5, twice), record(MessageCreated, 6, twice)], [twice])
    assert [c.offset for c in plan.changes] == [5]
    assert plan.published_twice == 1


def test_creation_from_a_topic_made_anew_is_published_twice() -> None:
    old = document(number=7, applied=applied(1, 500, incarnation="bbbbbbbb"))
    plan = plan_of([record(MessageCreated, 3, old)], [old])
    assert plan.published_twice == 1


def test_creation_of_a_numbered_message_without_mark_is_an_update() -> None:
    replayed = document(number=7, rev=2)
    plan = plan_of([record(MessageCreated, 3, replayed, rev=2)], [replayed])
    assert [(c.event_type, c.cache, c.number) for c in plan.changes] == [
        ("message_updated", "replace", None)
    ]


def test_creation_of_a_message_deleted_since_still_gets_a_number_but_no_place_in_the_cache() -> (
    None
):
    gone = document(rev=2, deletedAt=NOW)
    plan = plan_of([record(MessageCreated, 3, gone)], [gone], newest=1)
    assert [(c.event_type, c.cache, c.number) for c in plan.changes] == [("message", "", 2)]


def test_edit_in_the_batch_of_its_creation_is_applied_after_it() -> None:
    both = document(rev=2)
    plan = plan_of([record(MessageCreated, 5, both), record(MessageUpdated, 6, both, 2)], [both])
    assert [(c.event_type, c.number) for c in plan.changes] == [
        ("message", 1),
        ("message_updated", None),
    ]
    (mark,) = plan.marks.values()
    assert (mark.rev, mark.offset, mark.number, mark.numbered_offset) == (2, 6, 1, 5)


def test_change_of_a_message_without_number_stays_pending() -> None:
    early = document(rev=2)
    plan = plan_of([record(MessageUpdated, 5, early, 2)], [early])
    assert (plan.changes, plan.marks, plan.without_number) == ([], {}, 1)


def test_deletion_removes_from_the_cache() -> None:
    gone = document(number=3, rev=2, deletedAt=NOW)
    plan = plan_of([record(MessageDeleted, 5, gone, 2)], [gone])
    assert [(c.event_type, c.cache) for c in plan.changes] == [("message_deleted", "remove")]


def test_record_without_document_or_of_another_channel_is_unknown() -> None:
    elsewhere = document(channelId="d")
    plan = plan_of([record(MessageCreated, 5, elsewhere), record(MessageCreated, 6, document())],
                   [elsewhere])  # fmt: skip
    assert [item.offset for item in plan.unknown] == [5, 6]
    assert not plan.changes


def test_batch_knows_whose_number_its_first_one_follows() -> None:
    first, second = document(), document()
    plan = plan_of([record(MessageCreated, 5, first), record(MessageCreated, 6, second)],
                   [first, second], newest=41)  # fmt: skip
    assert plan.before == {"c": "before"}
    assert plan.is_all_new


def test_batch_that_counts_on_from_a_message_of_its_own_follows_that() -> None:
    numbered, fresh = document(number=43, applied=applied(1, 5)), document()
    plan = plan_of([record(MessageCreated, 5, numbered), record(MessageCreated, 6, fresh)],
                   [numbered, fresh], newest=41)  # fmt: skip
    assert plan.before == {"c": numbered["_id"]}
    assert not plan.is_all_new


def test_batch_is_not_all_new_when_a_record_has_no_effect_or_no_document() -> None:
    twice, unnumbered = document(number=7, applied=applied(1, 5)), document()
    for kind, offset, of in (
        (MessageCreated, 8, twice),
        (MessageUpdated, 8, unnumbered),
        (MessageCreated, 8, document(channelId="other")),
    ):
        assert not plan_of([record(kind, offset, of)], [of]).is_all_new
