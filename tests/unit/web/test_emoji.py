"""Which texts may be a reaction."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.fields import is_emoji


@pytest.mark.parametrize("emoji", ["👍", "👍🏽", "👩‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "+1", ":party:", "a/b"])
def test_emoji_of_every_make_is_one(emoji: str) -> None:
    assert is_emoji(emoji)


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "\n", "\x00", "\x7f", "\u2003", "\ud83d", "x" * 33]
)
def test_text_with_spaces_or_controls_is_none(text: str) -> None:
    assert not is_emoji(text)


@given(st.text(max_size=40))
def test_emoji_is_exactly_what_the_protocol_says(text: str) -> None:
    has_wrong = any(
        unicodedata.category(c) in ("Cc", "Zs", "Zl", "Zp", "Cs") or c.isspace() for c in text
    )
    assert is_emoji(text) == (1 <= len(text) <= 32 and not has_wrong)
