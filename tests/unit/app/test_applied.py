"""How marks are cut into updates."""

from app.archive.applied import GROUP_LENGTH, Applied, in_groups, last_numbered


def mark(message_id: str, number: int | None = None, channel_id: str = "c") -> Applied:
    return Applied(message_id, "messages", 1, "aaaaaaaa", 0, 0, number, channel_id=channel_id)


def ids(groups: list[list[Applied]]) -> list[list[str]]:
    return [[each.message_id for each in group] for group in groups]


def test_marks_whose_ids_ascend_are_one_group() -> None:
    assert ids(in_groups([mark("a", 1), mark("b", 2), mark("d", 3)])) == [["a", "b", "d"]]


def test_group_is_cut_where_an_id_is_below_the_one_before_it_in_its_channel() -> None:
    """MongoDB would give 2 before 1."""
    assert ids(in_groups([mark("b", 1), mark("a", 2), mark("c", 3)])) == [["b"], ["a", "c"]]


def test_ids_of_different_channels_are_in_any_order() -> None:
    marks = [mark("b", 1, "c"), mark("a", 1, "d"), mark("c", 2, "c"), mark("d", 2, "d")]
    assert ids(in_groups(marks)) == [["b", "a", "c", "d"]]


def test_group_has_a_greatest_length() -> None:
    groups = in_groups(mark(f"{n:04}", n) for n in range(1, GROUP_LENGTH + 2))
    assert [len(group) for group in groups] == [GROUP_LENGTH, 1]


def test_marks_without_a_number_follow_in_a_group_of_their_own() -> None:
    marks = [mark("c"), mark("b", 1), mark("a"), mark("d", 2)]
    assert ids(in_groups(marks)) == [["b", "d"], ["c", "a"]]


def test_last_numbered_is_the_one_that_mongodb_writes_last() -> None:
    marks = [mark("b", 1), mark("a", 2), mark("e", 1, "d"), mark("c", 3), mark("f")]
    assert last_numbered(marks) == "e"
    assert last_numbered([mark("a")]) is None
