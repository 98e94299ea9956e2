"""What a message shows of its reactions, beside a plain model of who reacted in which order."""

from hypothesis import given
from hypothesis import strategies as st

from app.archive.shown_reactions import KINDS, SHOWN_USERS, Fold, Shown, Wish
from app.errors import RequestError

WISHES = st.builds(
    Wish,
    emoji=st.sampled_from([f"e{n}" for n in range(KINDS + 2)]),
    user_id=st.sampled_from([f"u{n}" for n in range(SHOWN_USERS + 5)]),
    is_wanted=st.booleans(),
)


@given(st.lists(st.lists(WISHES, max_size=60), max_size=6))
def test_shown_is_what_the_order_of_reactions_says(groups: list[list[Wish]]) -> None:
    order: list[tuple[str, str]] = []
    shown: Shown = []
    rev = 1
    for group in groups:
        fold = Fold(shown, rev, set(order))
        for wish in group:
            reaction = (wish.emoji, wish.user_id)
            kinds = {emoji for emoji, _ in order}
            try:
                is_changed = fold.grant(wish)
            except RequestError as error:
                assert error.code == "conflict"
                assert wish.is_wanted
                assert len(kinds) == KINDS
                assert wish.emoji not in kinds
                continue
            assert is_changed == (wish.is_wanted != (reaction in order))
            rev += is_changed
            assert fold.rev == rev
            if is_changed:
                (order.append if wish.is_wanted else order.remove)(reaction)
        assert fold.present == set(order)
        shown = fold.shown
        for kind in shown:
            users = [user for emoji, user in order if emoji == kind["emoji"]]
            assert kind["count"] == len(users)
            if kind["emoji"] in fold.taken_back:
                kind["userIds"] = users[:SHOWN_USERS]  # As read from the collection.
            assert kind["userIds"] == users[:SHOWN_USERS]
        assert {kind["emoji"] for kind in shown} == {emoji for emoji, _ in order}
