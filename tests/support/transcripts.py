"""What a client of a `World` is sent, and what REST answers meanwhile, as hypothesis wills it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from hypothesis import strategies as st

from app.archive.documents import render
from app.keys import StreamKey, channel_stream, user_stream
from app.stream_log.cursor import Position
from app.topics import MESSAGES, NOTIFICATIONS, REACTIONS, USER_ACTIVITY
from tests.support.reference_client import ReferenceClient
from tests.support.world import World, fresh

Json = Any
Step = tuple[str, tuple[int, ...]]
EMOJI: Final = "👍"
NAMES: Final = ("Ann", "Bo", "Cleo")
AGENTS: Final = (MESSAGES, REACTIONS, NOTIFICATIONS, USER_ACTIVITY)

_message = st.integers(0, 2)


def _step(name: str, *arguments: st.SearchStrategy[int]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.tuples(*arguments))


_user, _flag = st.integers(0, 2), st.integers(0, 1)
_channel = st.sampled_from([0, 0, 0, 1])

_post = _step("post", _user, _channel, st.integers(0, 7), _flag)
_edit = _step("edit", _channel, _message, _flag)
_delete = _step("delete", _channel, _message, _flag)
_read = _step("read", _user, _channel, st.integers(0, 2))
_messages = (
    _post,
    _edit,
    _delete,
    _step("react", _flag, _channel, _message, _flag),
    _step("reconcile"),
)
_own = (
    _post,
    _delete,
    _read,
    _step("member", st.sampled_from([0, 1, 1]), _channel, _flag),
    _step("notify", _user),
    _step("read_notifications", _user, st.integers(0, 3)),
)
_presence = (
    _step("session", _user, _channel, _flag, st.integers(0, 3), st.integers(0, 2)),
    _step("session", _user, _channel, _flag, st.integers(0, 3), st.integers(0, 2)),
    _step("crowd", _channel, st.integers(1, 14), _flag),
    _step("renew", _channel),
    _step("second"),
)


def _stories(
    agents: Sequence[int], *happens: st.SearchStrategy[Step]
) -> st.SearchStrategy[list[Step]]:
    agent = st.sampled_from(agents)
    work = _step(
        "work", agent, st.sampled_from([1, 2, 4, 20]), st.integers(0, 4), st.integers(0, 5)
    )
    hear = _step("hear", st.integers(0, 2), st.integers(1, 6))
    back = _step("return", st.integers(0, 2))
    lose = _step("lose", st.integers(0, 2))
    parts = st.one_of(*happens, *[work] * 2, *[hear] * 2, back, lose)
    return st.lists(parts, min_size=10, max_size=60)


stories: Final = st.one_of(
    _stories((0, 0, 1, 2, 3), *_messages, *_own, *_presence),
    _stories((0, 1), *_messages),
    _stories((0, 0, 2), *_own),
    _stories((3,), *_presence),
)
"""What happens, one thing after another: everything, or much of a kind."""


class Listener:
    """One user's connection to the world: it says what a gateway would send, in `transcript`.

    The transcript is a list of `{"frame": …}` and `{"rest": …}`: from then on REST answers so.
    """

    def __init__(self, world: World, user: str) -> None:
        self.world = world
        self.user = user
        self.streams: tuple[StreamKey, ...] = (
            user_stream(user),
            *(channel_stream(channel) for channel in world.channels),
        )
        self.places: dict[StreamKey, Position] = {}
        self.unlogged: dict[str, int] = {}
        self.transcript: list[dict[str, Json]] = []

    def _send(self, **frame: Json) -> None:
        self.transcript.append({"frame": frame})

    async def note_rest(self) -> None:
        """What is asked from now on is answered with what is there now."""
        self.transcript.append({"rest": await self.world.rest(self.user)})

    async def arrive(self, verdict: str = "") -> None:
        """Connect and join everything, anew or with the cursors that were seen."""
        own, *channels = self.streams
        if verdict:
            self._send(type="reconnect", delayMs=0)
        known = self.places.get(own)
        at = await self.world.log.position(own)
        await self.note_rest()
        count = self.transcript[-1]["rest"]["count"]
        self._send(
            type="hello",
            connectionId="c",
            user={"id": self.user, "name": "Name"},
            userCursor=_cursor(at),
            heartbeatSeconds=25,
            limits={},
            unread={"total": 0, "mentions": 0},
            notifications=count,
        )
        if known is None:
            self.places[own] = at
        else:
            await self._resume_own(own, known, at)
        for stream in channels:
            await self._join(stream, verdict)

    async def _resume_own(self, own: StreamKey, known: Position, at: Position) -> None:
        is_covered = known.epoch == at.epoch
        self.places[own] = known if is_covered else at
        verdict: dict[str, Json] = {"recovered": "log"}
        if not is_covered:
            verdict = {"recovered": False, "reason": "unknown_cursor"}
        self._send(type="resumed", id=1, cursor=_cursor(self.places[own]), **verdict)
        await self.hear(0, 1000)

    async def _join(self, stream: StreamKey, verdict: str) -> None:
        known = self.places.get(stream)
        at = await self.world.log.position(stream)
        self.unlogged[stream.id] = len(self.world.crier.told[stream.id])
        active = (await self.world.rest(self.user))[f"active:{stream.id}"]
        if known is None:
            verdict = ""
        elif known.epoch != at.epoch and verdict == "log":
            verdict = "history"
        if verdict in ("", "false"):
            self.places[stream] = at
        answers: dict[str, dict[str, Json]] = {
            "": {},
            "log": {"recovered": "log"},
            "history": {"recovered": "history"},
            "false": {"recovered": False, "reason": "too_far"},
        }
        self._send(
            type="joined",
            id=1,
            channelId=stream.id,
            cursor=_cursor(self.places[stream]),
            **answers[verdict],
            activeUsers=active["items"],
            activeCount=active["count"],
        )
        if verdict == "history":
            await self._send_history(stream, at)
        elif verdict == "log":
            await self.hear(self.streams.index(stream), 1000)

    async def _send_history(self, stream: StreamKey, target: Position) -> None:
        after, history = self.places[stream].number, self.world.history
        since = datetime.now(UTC) - timedelta(hours=1)
        missed = await history.between(stream.id, after, target.number, 100)
        ids = await history.changed(stream.id, after, since, 100)
        messages = [*missed, *await history.find(ids)]
        self.places[stream] = target
        self._send(
            type="history",
            channelId=stream.id,
            messages=[orjson.loads(render(each)) for each in messages],
            more=False,
            cursor=_cursor(target),
        )

    async def hear(self, number: int, count: int) -> None:
        """Send up to `count` events of a stream, and what is told of it in no log."""
        stream = self.streams[number]
        place = self.places[stream]
        at = await self.world.log.position(stream)
        frames = None
        if at.epoch == place.epoch:
            frames = await self.world.log.read(stream, place.epoch, place.seq, count)
        # What is asked because of these events is answered with what they brought.
        await self.note_rest()
        for frame in frames or ():
            self._send(**orjson.loads(frame))
        if frames is None:
            owner = "channelId" if stream.kind == "channel" else "userId"
            self._send(type="resync", **{owner: stream.id}, cursor=_cursor(at))
            self.places[stream] = at
        elif frames:
            epoch, seq, place_number, _ = orjson.loads(frames[-1])["cursor"].split(".")
            self.places[stream] = Position(epoch, int(seq), int(place_number))
        if stream.kind == "channel":
            told = self.world.crier.told[stream.id]
            heard = self.unlogged[stream.id]
            for frame in told[heard : heard + count]:
                self._send(**orjson.loads(frame))
            self.unlogged[stream.id] = min(len(told), heard + count)

    async def hear_all(self) -> None:
        """Send everything there is."""
        for number in range(len(self.streams)):
            await self.hear(number, 1000)
            await self.hear(number, 1000)


async def play(
    world: World, story: Sequence[Step], before: int
) -> tuple[list[dict[str, Json]], Json, str]:
    """Let it all happen, `before` steps of it before the second user's client comes; return its
    transcript, what a fresh client of theirs shows in the end, and who they are."""
    await world.begin()
    user = world.users[1]
    listener = Listener(world, user)
    for name, arguments in story[:before]:
        if name not in ("hear", "return"):
            await _do(world, listener, name, *arguments)
    await listener.arrive()
    for name, arguments in story[before:]:
        await _do(world, listener, name, *arguments)
    await world.settle()
    await listener.hear_all()
    await listener.note_rest()
    return listener.transcript, fresh(world.channels, await world.rest(user)), user


async def _do(world: World, listener: Listener, name: str, *a: int) -> None:
    if name == "post":
        names = [user for bit, user in enumerate(world.users) if a[2] >> bit & 1]
        document = await world.post(world.users[a[0]], world.channels[a[1]], "text", names)
        if a[3]:
            world.publish_change(document)
    elif name in ("edit", "delete"):
        if message := await _pick(world, a[0], a[1]):
            changed = (
                await world.archive.edit(
                    message, {"content": f"text {len(world.records[MESSAGES])}"}
                )
                if name == "edit"
                else await world.archive.delete(message)
            )
            if a[2]:
                world.publish_change(changed)
    elif name == "react":
        if message := await _pick(world, a[1], a[2]):
            await world.react(world.users[a[0]], message, EMOJI, is_wanted=bool(a[3]))
    elif name == "read":
        await world.read(world.users[a[0]], world.channels[a[1]], a[2])
    elif name == "member":
        act = world.join if a[2] else world.leave
        act(world.users[a[0]], world.channels[a[1]])
    elif name == "session":
        kind = ("user_joined", "user_joined", "user_left", "session_closing")[a[3]]
        user, channel = world.users[a[0]], world.channels[a[1]]
        world.tell_session(kind, user, NAMES[a[4]], channel, f"s{a[2]}")
    elif name == "crowd":
        kind = "user_joined" if a[2] else "user_left"
        for number in range(a[1]):
            world.tell_session(kind, f"guest-{number}", "Guest", world.channels[a[0]], f"g{number}")
    elif name == "notify":
        world.notify(world.users[a[0]])
    elif name == "read_notifications":
        page = await world.notifications.page(world.users[a[0]], 10)
        ids = [each["_id"] for each in page[: a[1]]]
        world.read_notifications(world.users[a[0]], ids or None)
    elif name == "renew":
        world.want_active_users(world.channels[a[0]])
    elif name == "second":
        await world.crier.pass_time()
    elif name == "reconcile":
        await world.reconcile()
    elif name == "work":
        topic = AGENTS[a[0]]
        await world.work(topic, a[1], again=a[2], is_cut_off=a[3] == 5)
    elif name == "hear":
        await listener.hear(a[0], a[1])
    elif name == "return":
        await listener.arrive(("log", "history", "false")[a[0]])
    elif name == "lose":
        await world.lose_log(listener.streams[a[0]])


async def _pick(world: World, channel: int, number: int) -> str | None:
    found = await world.messages_of(world.channels[channel])
    return found[number % len(found)]["_id"] if found else None


def _cursor(position: Position) -> str:
    return position.cursor(1_700_000_000_000)


def follow(transcript: Sequence[dict[str, Json]], user: str, delay: int) -> ReferenceClient:
    """Give a transcript to a client whose questions are answered `delay` steps later."""
    waiting: list[tuple[int, str, int, Json]] = []
    rest: dict[str, Json] = {}

    def ask(what: str, number: int) -> None:
        waiting.append((at + delay, what, number, rest[what]))

    client, at = ReferenceClient(user, ask), 0

    def answer(until: float) -> None:
        while waiting and waiting[0][0] <= until:
            _, what, number, body = waiting.pop(0)
            client.answer(what, number, body)

    for at, step in enumerate(transcript):
        answer(at)
        if "rest" in step:
            rest = step["rest"]
        else:
            client.frame(step["frame"])
    answer(float("inf"))
    return client
