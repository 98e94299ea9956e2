"""Which pages a run of a channel's newest messages can answer, and how."""

from hypothesis import given
from hypothesis import strategies as st

from web.message_cache import Run, number_of


def message(number: int) -> bytes:
    return b'{"id":"m","rev":1,"channelId":"c","number":%d,"content":"\\"number\\":0"}' % number


def test_number_is_read_from_the_message_itself() -> None:
    assert number_of(message(12)) == 12
    assert number_of(b'{"id":"m","rev":1,"channelId":"number","number":null}') == 0


@given(
    living=st.sets(st.integers(1, 30)),
    kept=st.integers(0, 12),
    limit=st.integers(1, 10),
    before=st.none() | st.integers(0, 32),
)
def test_page_before_a_bound_is_that_of_the_whole_channel_or_none(
    living: set[int], kept: int, limit: int, before: int | None
) -> None:
    channel = sorted(living, reverse=True)
    run = Run([message(n) for n in channel[:kept]], is_whole=kept >= len(channel))
    page = run.cut(limit, before=before, after=None, is_hit=True)
    below = [n for n in channel if before is None or n < before]
    if page is None:
        assert not run.is_whole
        assert len([n for n in below if n in channel[:kept]]) < limit
        return
    assert [number_of(m) for m in page.messages] == below[:limit]
    if len(below) > limit:
        assert page.next == below[limit - 1]
    elif run.is_whole:
        assert page.next is None


@given(
    living=st.sets(st.integers(1, 30)),
    kept=st.integers(0, 12),
    limit=st.integers(1, 10),
    after=st.integers(0, 32),
)
def test_page_after_a_bound_is_that_of_the_whole_channel_or_none(
    living: set[int], kept: int, limit: int, after: int
) -> None:
    channel = sorted(living, reverse=True)
    run = Run([message(n) for n in channel[:kept]], is_whole=kept >= len(channel))
    page = run.cut(limit, before=None, after=after, is_hit=True)
    above = [n for n in channel if n > after]
    if page is None:
        assert not run.is_whole
        return
    assert [number_of(m) for m in page.messages] == above[-limit:]
    assert page.next == (above[-limit] if len(above) > limit else None)
