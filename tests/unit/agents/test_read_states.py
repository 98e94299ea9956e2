"""Read states are the fold of a channel's records, however often and cut these are delivered."""

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.fold import fold_records
from agents.plan import make_plan
from agents.read_states import MOST_MENTIONS, ReadStates
from app.archive.applied import Applied
from app.archive.marks import Newest
from app.ids import new_id
from app.records import ChannelRead, Event, MemberJoined, MemberLeft, MessageCreated, MessageEvent
from app.stream_log.log import Source
from app.streaming.work import Received
from tables.read_state import Key, ReadState

SOURCE = Source("messages", 0, "aaaaaaaa")
USERS = ("ann", "bob", "cat", "dan")
CHANNELS = ("open", "closed")

State = tuple[int, list[int], bool]


def states_of(table: dict[Key, ReadState] | None = None) -> ReadStates:
    return ReadStates(SOURCE, (table or {}).get)


def seen(states: ReadStates, user: str, channel: str = "c") -> tuple[int, list[int]] | None:
    state = states.get((channel, user))
    return None if state is None or state.left else (state.read, state.mentions)


def told(states: ReadStates) -> list[tuple[str, str, dict[str, Any]]]:
    return [(event.user_id, event.type, event.data) for event in states.events]


def test_first_message_makes_its_sender_a_member_who_has_read_it() -> None:
    states = states_of()
    states.send(5, "c", "ann", 41, is_open=True)
    assert seen(states, "ann") == (41, [])
    assert told(states) == [("ann", "member_joined", {"channelId": "c", "by": "ann"})]
    assert states.implied == {("c", "ann"): 5}


@pytest.mark.parametrize("has_left", [True, False])
def test_message_in_a_closed_channel_makes_its_sender_no_member(has_left: bool) -> None:
    state = ReadState(read=3, mentions=[], position=["aaaaaaaa", 0, 4], left=True)
    states = states_of({("c", "ann"): state} if has_left else {})
    states.send(5, "c", "ann", 41, is_open=False)
    assert seen(states, "ann") is None
    assert (states.changed, states.events, states.implied) == ({}, [], {})


def test_message_in_a_closed_channel_is_read_by_a_member_who_sends_it() -> None:
    states = states_of()
    states.join(4, "c", "ann", "bob", 40)
    states.send(5, "c", "ann", 41, is_open=False)
    assert seen(states, "ann") == (41, [])


def test_further_messages_tell_their_sender_nothing() -> None:
    states = states_of()
    states.send(5, "c", "ann", 1, is_open=True)
    states.send(6, "c", "ann", 2, is_open=True)
    assert seen(states, "ann") == (2, [])
    assert len(states.events) == 1


def test_message_that_clears_mentions_tells_its_sender() -> None:
    states = states_of()
    states.join(4, "c", "ann", "ann", 0)
    states.mention(5, "c", "ann", 1, "bob", is_open=True)
    states.send(6, "c", "ann", 2, is_open=True)
    data = {"channelId": "c", "number": 2, "unread": 0, "mentions": 0}
    assert told(states)[-1] == ("ann", "channel_read", data)


def test_tombstone_tells_its_sender_and_whom_it_named_what_nobody_can_see_in_it() -> None:
    states = states_of()
    for user in ("ann", "bob"):
        states.join(3, "c", user, user, 0)
    states.send(4, "c", "ann", 1, is_open=True, is_deleted=True)
    states.mention(4, "c", "bob", 1, "ann", is_open=True, is_deleted=True)
    read = {"channelId": "c", "number": 1, "unread": 0, "mentions": 0}
    unread = {"channelId": "c", "number": 0, "unread": 1, "mentions": 1}
    assert told(states)[2:] == [("ann", "channel_read", read), ("bob", "channel_read", unread)]


def test_mention_of_a_stranger_makes_a_member_only_in_an_open_channel() -> None:
    states = states_of()
    states.mention(5, "c", "bob", 7, "ann", is_open=False)
    assert seen(states, "bob") is None
    states.mention(6, "c", "bob", 8, "ann", is_open=True)
    assert seen(states, "bob") == (7, [8])
    assert told(states) == [("bob", "member_joined", {"channelId": "c", "by": "ann"})]


def test_mentions_beyond_a_hundred_drop_the_oldest() -> None:
    states = states_of()
    for number in range(1, MOST_MENTIONS + 6):
        states.mention(number, "c", "bob", number, "ann", is_open=True)
    assert seen(states, "bob") == (0, list(range(6, MOST_MENTIONS + 6)))


def test_read_drops_the_mentions_up_to_it_and_never_goes_back() -> None:
    states = states_of()
    for number in (1, 2, 3):
        states.mention(number, "c", "bob", number, "ann", is_open=True)
    states.read(4, "c", "bob", 2, newest=3)
    assert seen(states, "bob") == (2, [3])
    states.read(5, "c", "bob", 1, newest=3)
    assert seen(states, "bob") == (2, [3])
    data = {"channelId": "c", "number": 2, "unread": 1, "mentions": 1}
    assert told(states)[1:] == [("bob", "channel_read", data)]


def test_read_beyond_the_newest_message_stops_there() -> None:
    states = states_of()
    states.join(1, "c", "bob", "bob", 2)
    states.read(2, "c", "bob", 999, newest=5)
    assert seen(states, "bob") == (5, [])


def test_read_by_one_who_is_no_member_has_no_effect() -> None:
    states = states_of()
    states.read(2, "c", "bob", 3, newest=5)
    assert (states.changed, states.events) == ({}, [])


def test_leave_and_join_again_starts_at_the_newest() -> None:
    states = states_of()
    states.join(1, "c", "bob", "ann", 2)
    states.leave(2, "c", "bob", "ann")
    assert seen(states, "bob") is None
    states.join(3, "c", "bob", "bob", 9)
    assert seen(states, "bob") == (9, [])
    assert [kind for _, kind, _ in told(states)] == [
        "member_joined", "member_left", "member_joined",
    ]  # fmt: skip


def test_join_of_a_member_has_no_effect() -> None:
    states = states_of()
    states.join(1, "c", "bob", "bob", 2)
    states.join(2, "c", "bob", "ann", 7)
    assert seen(states, "bob") == (2, [])
    assert len(states.events) == 1


@pytest.mark.parametrize(
    "repeat",
    [
        lambda states: states.send(9, "c", "bob", 8, is_open=True),
        lambda states: states.mention(9, "c", "bob", 8, "ann", is_open=True),
        lambda states: states.read(9, "c", "bob", 8, newest=8),
        lambda states: states.join(9, "c", "bob", "bob", 8),
        lambda states: states.leave(9, "c", "bob", "bob"),
    ],
)
@pytest.mark.parametrize("left", [True, False])
def test_record_that_a_state_has_seen_has_no_effect(
    repeat: Callable[[ReadStates], None], left: bool
) -> None:
    state = ReadState(read=3, mentions=[], position=["aaaaaaaa", 0, 9], left=left)
    states = states_of({("c", "bob"): state})
    repeat(states)
    assert (states.changed, states.events) == ({}, [])


@pytest.mark.parametrize("position", [["bbbbbbbb", 0, 9], ["aaaaaaaa", 1, 9], ["aaaaaaaa", 0, 4]])
def test_record_of_another_place_is_new(position: list[Any]) -> None:
    states = states_of({("c", "bob"): ReadState(read=3, mentions=[], position=position)})
    states.read(5, "c", "bob", 8, newest=8)
    assert seen(states, "bob") == (8, [])
    assert states.changed["c", "bob"].position == ["aaaaaaaa", 0, 5]


# The fold under redelivery


def create(channel: str, sender: str, named: Sequence[str]) -> dict[str, Any]:
    return {
        "_id": new_id(), "channelId": channel, "senderId": sender, "mentions": list(named),
        "rev": 1,
    }  # fmt: skip


class Log:
    """A partition's records, made of drawn steps; what a gateway knows is never ahead of it."""

    def __init__(self, steps: Sequence[tuple[str, str, str, Sequence[str], float]]) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.received: list[Received] = []
        numbers = dict.fromkeys(CHANNELS, 0)
        for offset, (kind, channel, user, named, part) in enumerate(steps):
            wire = {"eventId": "e", "occurredAt": "t", "type": kind, "channelId": channel}
            event: Event
            if kind == "create":
                document = create(channel, user, named)
                self.documents[document["_id"]] = document
                numbers[channel] += 1
                message = {"id": document["_id"]}
                event = MessageCreated.from_data({**wire, "rev": 1, "message": message})
            elif kind == "read":
                number = round(part * numbers[channel])
                event = ChannelRead.from_data({**wire, "userId": user, "number": number})
            else:
                record = MemberJoined if kind == "join" else MemberLeft
                event = record.from_data({**wire, "userId": user, "by": user})
            self.received.append(Received(cast("Any", SimpleNamespace(offset=offset)), event))


class Worker:
    """What outlives a worker: documents, table, streams; and one way through a batch."""

    def __init__(self, log: Log) -> None:
        self.documents = {key: dict(document) for key, document in log.documents.items()}
        self.table: dict[Key, ReadState] = {}
        self.guards: dict[str, int] = {}
        self.events: list[tuple[str, int, str]] = []

    def run(self, batch: Sequence[Received], survives: Callable[[], bool]) -> bool:
        """Work on a batch; after each step it may die. Return whether it came to the end."""
        messages = [(i, i.event) for i in batch if isinstance(i.event, MessageEvent)]
        newest = {c: max(map(self._number, self._of(c)), default=0) for c in CHANNELS}
        joined = {i.event.channel_id for i in batch if isinstance(i.event, MemberJoined)}
        before = newest | {c: self._number_before(c, batch[0].offset) for c in joined}
        found = {key: dict(document) for key, document in self.documents.items()}
        plan = make_plan(SOURCE, messages, found, {c: Newest(n) for c, n in newest.items()})
        if not survives():
            return False
        for mark in plan.marks.values():
            self._apply(mark)
        if not survives():
            return False
        table = {key: _copy(state) for key, state in self.table.items()}
        states = ReadStates(SOURCE, table.get)
        created = {c.offset: c for c in plan.changes if c.number is not None}
        fold_records(states, batch, created, before, {"closed"})
        guards = dict(self.guards)
        for event in states.events:
            if event.offset > guards.get(event.user_id, -1):
                self.events.append((event.user_id, event.offset, event.type))
                self.guards[event.user_id] = event.offset
        is_alive = True
        for key, state in states.changed.items():
            # Each key's write reaches the changelog or does not.
            if survives():
                self.table[key] = _copy(state)
            else:
                is_alive = False
        return is_alive

    def _of(self, channel: str) -> list[dict[str, Any]]:
        return [d for d in self.documents.values() if d["channelId"] == channel]

    def _number(self, document: dict[str, Any]) -> int:
        return int(document.get("number", 0))

    def _number_before(self, channel: str, offset: int) -> int:
        """As `Marks.numbers_before` finds it."""
        numbered = [d for d in self._of(channel) if "number" in d and d["numberedBy"] < offset]
        return max(map(self._number, numbered), default=0)

    def _apply(self, mark: Applied) -> None:
        document = self.documents[mark.message_id]
        document.setdefault("number", mark.number)
        document.setdefault("numberedBy", mark.numbered_offset)
        document["applied"] = {
            "messages": {
                "rev": mark.rev, "incarnation": mark.incarnation, "partition": mark.partition,
                "offset": mark.offset,
            }
        }  # fmt: skip

    @property
    def outcome(self) -> tuple[dict[Key, State], list[tuple[str, int, str]]]:
        states = {key: (s.read, s.mentions, s.left) for key, s in self.table.items()}
        return states, sorted(self.events)


def _copy(state: ReadState) -> ReadState:
    return ReadState(
        read=state.read,
        mentions=list(state.mentions),
        position=list(state.position),
        left=state.left,
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "create", "create", "read", "join", "leave"]),
        st.sampled_from(CHANNELS),
        st.sampled_from(USERS),
        st.lists(st.sampled_from(USERS), max_size=2),
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=300)
@given(STEPS, st.integers(0, 2**32))
def test_states_and_events_are_those_of_one_delivery_whenever_the_worker_dies(
    steps: Any, seed: int
) -> None:
    log = Log(steps)
    once = Worker(log)
    for item in log.received:
        assert once.run([item], lambda: True)
    chance = random.Random(seed)
    worker, committed, at = Worker(log), 0, 0
    dangers = 200

    def survives() -> bool:
        nonlocal dangers
        dangers -= 1
        return dangers < 0 or chance.random() > 0.1

    while committed < len(log.received):
        batch = log.received[at : at + chance.randint(1, 8)]
        if not batch:
            committed = at  # Everything is acknowledged at last.
        elif worker.run(batch, survives):
            # At most one batch settles while the next is worked on.
            committed, at = at, batch[-1].offset + 1
        else:
            at = committed
    assert worker.outcome == once.outcome
