"""Tells Kafka of this gateway's sessions: what each of them is now, not all it has been.

While Kafka is away nothing is queued but a session's last state: one that came and went meanwhile
is never told of. So what is kept is bounded by the sessions that live and those Kafka knew.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from app.announcements import encode_session, encode_typing
from app.telemetry.tracing import traceparent_of
from app.topics import USER_ACTIVITY
from web.crowds import gather
from web.identity import User

log = logging.getLogger(__name__)

Headers = list[tuple[str, bytes]]

JOINED: Final = "user_joined"
LEFT: Final = "user_left"
CLOSING: Final = "session_closing"

SENT_A_TURN: Final = 50
PAUSE_SECONDS: Final = 1.0
TYPING_WAITING: Final = 1000
TYPING_SECONDS: Final = 2.0
"""Typing that has waited longer is not worth a record."""

_published = Counter("hubbub_presence_records_total", "Presence records that Kafka acknowledged.")
_failed = Counter("hubbub_presence_failures_total", "Presence records to be sent again.")
_waiting = Gauge("hubbub_presence_waiting", "Sessions whose state Kafka does not have yet.")


@dataclass(slots=True, eq=False)
class Session:
    """One connection's join of one channel. `state` is the record that says what it is now;
    `may_be_known`: whether a record of it may have reached Kafka."""

    id: str
    channel_id: str
    user: User
    state: str = JOINED
    may_be_known: bool = False


class SessionRecords:
    """Publishes the states of sessions, and typing, under the gateway id that the records bear."""

    def __init__(self, producer: AIOKafkaProducer, gateway_id: str) -> None:
        self.gateway_id = gateway_id
        self._producer = producer
        self._due: dict[Session, None] = {}
        self._typing: deque[tuple[float, str, User]] = deque(maxlen=TYPING_WAITING)
        self._is_due = asyncio.Event()
        self._has_failed = False
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Publish from now on."""
        self._running = asyncio.create_task(self._run())

    async def stop(self, timeout_seconds: float) -> None:
        """Publish what is due, if Kafka takes it in time, and stop."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._flush()

    def tell(self, session: Session, state: str) -> None:
        """Let Kafka know that a session is `state` now; returns at once."""
        session.state = state
        self._due[session] = None
        self._is_due.set()

    def tell_again(self, sessions: Iterable[Session]) -> None:
        """Let Kafka know of living sessions once more."""
        self._due |= dict.fromkeys(sessions)
        self._is_due.set()

    def tell_typing(self, channel_id: str, user: User) -> None:
        """Let Kafka know that a user types; dropped if it is away."""
        if not self._has_failed:
            self._typing.append((time.monotonic(), channel_id, user))
            self._is_due.set()

    async def _run(self) -> None:
        while True:
            await self._is_due.wait()
            if self._has_failed:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                # Typing is worth something only at once.
                await gather(lambda: 0 if self._typing else len(self._due))
            await self._flush()

    async def _flush(self) -> None:
        self._is_due.clear()
        waiting = deque(self._take_due())
        headers = [("traceparent", traceparent_of(None).encode())]
        sent: list[tuple[Session, asyncio.Future[Any]]] = []
        typing: list[asyncio.Future[Any]] = []
        failure: BaseException | None = None
        try:
            try:
                while waiting:
                    answer = await self._send_session(waiting[0], headers)
                    sent.append((waiting.popleft(), answer))
                    if len(sent) % SENT_A_TURN == 0:
                        # The producer only buffers, and would let nobody else run.
                        await asyncio.sleep(0)
                typing = await self._send_typing(headers)
            except KafkaError as error:
                failure = error
            answers = await asyncio.gather(
                *(answer for _, answer in sent), *typing, return_exceptions=True
            )
        except BaseException:
            again = [session for session, _ in sent] + list(waiting)
            self._due = dict.fromkeys(again) | self._due
            raise
        failed = {
            session: answer
            for (session, _), answer in zip(sent, answers, strict=False)
            if isinstance(answer, BaseException)
        }
        _published.inc(len(sent) - len(failed))
        failure = failure or next(iter(failed.values()), None)
        if failure is not None:
            self._put_back([*failed, *waiting], failure)
        elif sent or not self._due:
            self._has_failed = False
        _waiting.set(len(self._due))

    async def _send_typing(self, headers: Headers) -> list[asyncio.Future[Any]]:
        said, self._typing = self._typing, deque(maxlen=TYPING_WAITING)
        until = time.monotonic() - TYPING_SECONDS
        return [
            await self._send(channel_id, encode_typing(channel_id, user.id, name_of(user)), headers)
            for at, channel_id, user in said
            if at > until
        ]

    def _take_due(self) -> list[Session]:
        for session in [s for s in self._due if s.state != JOINED and not s.may_be_known]:
            del self._due[session]
        if not self._has_failed:
            due, self._due = list(self._due), {}
            return due
        # One finds out whether Kafka is back; the others need not have been sent for nothing.
        first = next(iter(self._due), None)
        if first is None:
            return []
        del self._due[first]
        if self._due:
            self._is_due.set()
        return [first]

    def _put_back(self, sessions: Iterable[Session], error: BaseException) -> None:
        # Before what has become due meanwhile: it was due earlier.
        again = dict.fromkeys(sessions)
        _failed.inc(len(again))
        if not self._has_failed:
            fields = {"sessions": len(again), "error": type(error).__name__}
            log.warning("presence_not_published", extra=fields)
        self._has_failed = True
        self._due = again | self._due
        self._is_due.set()

    async def _send_session(self, session: Session, headers: Headers) -> asyncio.Future[Any]:
        session.may_be_known = True
        user = session.user
        value = encode_session(
            session.state,
            session.channel_id,
            user_id=user.id,
            user_name=name_of(user),
            session_id=session.id,
            gateway_id=self.gateway_id,
        )
        return await self._send(session.channel_id, value, headers)

    async def _send(self, channel_id: str, value: bytes, headers: Headers) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = await self._producer.send(
            USER_ACTIVITY.name, value=value, key=channel_id.encode(), headers=headers
        )
        return answer


def name_of(user: User) -> str:
    """What others call a user."""
    return user.name or user.id
