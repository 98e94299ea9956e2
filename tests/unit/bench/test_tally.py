"""The load client notices a loss, a double and a wrong order."""

import pytest

from bench.load.tally import Reader, Tally, Verdict, judge, mark, percentile, unfinished


@pytest.fixture
def tally() -> Tally:
    """Four messages of one channel, from two posters by turns; all are accepted."""
    tally = Tally()
    for number in range(4):
        message = tally.send(channel=0, poster=number % 2)
        tally.answer(message, is_accepted=True)
    return tally


def _received(*messages: int) -> list[tuple[int, list[list[bytes]]]]:
    return [(0, [[f"{message:08d}".encode()] for message in messages])]


@pytest.mark.parametrize(
    ("messages", "verdict"),
    [
        ((0, 1, 2, 3), Verdict(0, 0, 0)),
        ((1, 0, 2, 3), Verdict(0, 0, 0)),
        ((0, 1, 3), Verdict(1, 0, 0)),
        ((0, 1, 2, 3, 3), Verdict(0, 1, 0)),
        ((2, 1, 0, 3), Verdict(0, 0, 1)),
        ((), Verdict(4, 0, 0)),
    ],
    ids=["all", "other posters' order", "loss", "double", "wrong order", "nothing"],
)
def test_judge_when_a_client_received_messages_says_what_is_wrong(
    tally: Tally, messages: tuple[int, ...], verdict: Verdict
) -> None:
    assert judge(tally, _received(*messages)) == verdict


def test_judge_when_two_clients_miss_the_same_counts_both(tally: Tally) -> None:
    assert judge(tally, _received(0, 1, 2) * 2).lost == 2


def test_judge_when_a_message_was_refused_does_not_want_it(tally: Tally) -> None:
    message = tally.send(channel=0, poster=0)
    tally.answer(message, is_accepted=False)

    assert judge(tally, _received(0, 1, 2, 3)).lost == 0


def test_judge_when_a_message_without_an_answer_comes_late_asks_for_no_order(tally: Tally) -> None:
    unanswered = tally.send(channel=0, poster=0)
    tally.answer(tally.send(channel=0, poster=0), is_accepted=True)
    assert judge(tally, _received(0, 1, 2, 3, 5, unanswered)) == Verdict(0, 0, 0)


def test_reader_when_a_mark_is_cut_finds_it_once_in_both_halves() -> None:
    reader = Reader()
    whole = f"…{mark(7)} xxx".encode() * 3
    found = []
    tail = b""
    for at in range(0, len(whole), 5):
        data = tail + whole[at : at + 5]
        tail = unfinished(data)
        found += reader.find(data)

    assert found == [b"00000007"] * 3


def test_percentile_when_there_are_values_returns_one_of_them() -> None:
    assert percentile([3, 1, 2, 4], 0.5) == 3
    assert percentile([], 0.5) is None
