"""What a message shows of its reactions, beside a plain model of who reacted in which order."""

from hypothesis import given
from hypothesis import strategies as st

from app.archive.reactions import KINDS, SHOWN_USERS, count_in, count_out
from app.errors import RequestError

STEPS = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from([f"e{n}" for n in range(KINDS + 2)]),
        st.sampled_from([f"u{n}" for n in range(SHOWN_USERS + 5)]),
    ),
    max_size=200,
)


@given(STEPS)
def test_shown_is_what_the_order_of_reactions_says(steps: list[tuple[bool, str, str]]) -> None:
    order: list[tuple[str, str]] = []
    shown: list[dict[str, object]] = []
    for is_added, emoji, user in steps:
        users = [other for kind, other in order if kind == emoji]
        if is_added and user not in users:
            try:
                shown = count_in(shown, emoji, user)
            except RequestError as error:
                assert error.code == "conflict"
                assert len({kind for kind, _ in order}) == KINDS
                continue
            order.append((emoji, user))
        elif not is_added and user in users:
            order.remove((emoji, user))
            users.remove(user)
            shown = count_out(shown, emoji, users[:SHOWN_USERS])
        kinds = dict.fromkeys(str(kind["emoji"]) for kind in shown)
        assert set(kinds) == {kind for kind, _ in order}
        for kind in shown:
            everybody = [other for name, other in order if name == kind["emoji"]]
            assert kind["count"] == len(everybody)
            assert kind["userIds"] == everybody[:SHOWN_USERS]
