"""The SSE cursor, both ways."""

from hypothesis import given
from hypothesis import strategies as st

from app.stream_log.cursor import Cursor, Position
from web.fan_out.cursor import CombinedCursor, checksum_of, pack, pack_position

numbers = st.integers(0, 10**15 - 1)
epochs = st.binary(min_size=4, max_size=4).map(bytes.hex)
positions = st.builds(Position, epochs, numbers, numbers)
channel_ids = st.from_regex(r"[A-Za-z0-9_.:-]{1,64}", fullmatch=True)


def spell(channels: dict[str, Position], user: Position, at_ms: int) -> str:
    places = [pack_position(channels[channel_id]) for channel_id in sorted(channels)]
    return pack(checksum_of(channels), [*places, pack_position(user)], at_ms).decode()


@given(st.dictionaries(channel_ids, positions, min_size=1, max_size=12), positions, numbers)
def test_cursor_when_packed_and_parsed_is_the_same(
    channels: dict[str, Position], user: Position, at_ms: int
) -> None:
    text = spell(channels, user, at_ms)
    assert "\n" not in text
    parsed = CombinedCursor.parse(text, list(reversed(channels)))
    assert parsed is not None
    assert parsed.user == Cursor(user, at_ms)
    assert parsed.channels == {
        channel_id: Cursor(position, at_ms) for channel_id, position in channels.items()
    }


@given(st.text(max_size=200))
def test_any_text_when_parsed_is_refused_or_round_trips(text: str) -> None:
    parsed = CombinedCursor.parse(text, ["a"])
    if parsed is not None:
        channels = {channel_id: cursor.position for channel_id, cursor in parsed.channels.items()}
        again = spell(channels, parsed.user.position, parsed.user.at_ms)
        assert CombinedCursor.parse(again, ["a"]) == parsed


@given(st.dictionaries(channel_ids, positions, min_size=1, max_size=4), positions, st.data())
def test_cursor_when_cut_or_lengthened_is_refused(
    channels: dict[str, Position], user: Position, data: st.DataObject
) -> None:
    text = spell(channels, user, 1)
    cut = data.draw(st.integers(0, len(text) - 2))
    assert CombinedCursor.parse(text[:cut], list(channels)) is None
    assert CombinedCursor.parse(text + "AAAA", list(channels)) is None


def test_cursor_of_other_channels_is_refused() -> None:
    text = spell({"a": Position("00000001", 1, 1)}, Position("00000001", 1, 1), 1)
    assert CombinedCursor.parse(text, ["b"]) is None
    assert CombinedCursor.parse(text, ["a", "b"]) is None


def test_cursor_of_a_hundred_channels_fits_into_a_header() -> None:
    largest = Position("ffffffff", 10**15 - 1, 10**15 - 1)
    text = spell({f"c{index}": largest for index in range(100)}, largest, 10**15 - 1)
    assert len(text) < 8190
