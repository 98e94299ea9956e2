"""What a load in which something breaks is judged by."""

import pytest

from bench.load.faults import FaultyLoad
from bench.load.modes import Spec


@pytest.fixture
def load() -> FaultyLoad:
    return FaultyLoad(Spec("fault", "hubbub", 1, "run", connections=2, channels=2, posters=0))


def post(load: FaultyLoad, *, sent_at: float, accepted_at: float | None) -> int:
    message = load.tally.send(0, 0)
    load.tally.sent_at[message] = sent_at
    if accepted_at is not None:
        load.tally.accepted_at[message] = accepted_at
    return message


def test_longest_silence_is_counted_from_the_fault_to_the_answer_after_it(
    load: FaultyLoad,
) -> None:
    for at in (1.0, 7.0, 10.5, 13.0, 13.2):
        post(load, sent_at=at - 0.1, accepted_at=at)
    assert load._longest_silence(since=10.0) == pytest.approx(2.5)
    assert load._longest_silence(since=20.0) == 0.0


def test_longest_delivery_is_of_accepted_messages_alone(load: FaultyLoad) -> None:
    accepted = post(load, sent_at=1.0, accepted_at=1.1)
    unanswered = post(load, sent_at=1.0, accepted_at=None)
    timed = load.subscribers.all[0].timed
    assert timed is not None
    timed.append((3.5, [b"%08d" % accepted]))
    timed.append((9.0, [b"%08d" % unanswered]))
    assert load._longest_delivery() == pytest.approx(2.5)


def test_load_waits_for_each_accepted_message_once_a_client(load: FaultyLoad) -> None:
    unanswered = post(load, sent_at=1.0, accepted_at=None)
    accepted = post(load, sent_at=1.0, accepted_at=1.1)
    client = load.subscribers.all[0]
    for message in (unanswered, accepted):
        assert not load._have_all_accepted()
        client.chunks.append([b"%08d" % message])
        load.tally.arrive(1, 2.0)
    assert load._have_all_accepted()
