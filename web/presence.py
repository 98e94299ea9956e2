"""Who is connected here, and in which channels: for Kafka as sessions, for Redis as counts.

Nothing here is waited for: a join is answered whether Kafka takes its record now or later.
"""

from typing import Final

from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from app.ids import new_id
from app.keys import connection_counts, online
from web.connection_counts import ConnectionCounts
from web.fan_out.connection import Connection
from web.identity import User
from web.session_records import CLOSING, JOINED, LEFT, Session, SessionRecords

STOP_SECONDS: Final = 1.0


class Presence:
    """The sessions of one gateway's connections."""

    def __init__(self, producer: AIOKafkaProducer, redis: Redis, gateway_id: str) -> None:
        self._records = SessionRecords(producer, gateway_id)
        self._counts = ConnectionCounts(redis, gateway_id, self._begin_anew)
        self._sessions: dict[Connection, dict[str, Session]] = {}

    def start(self) -> None:
        """Tell Kafka and Redis from now on."""
        self._counts.start()
        self._records.start()

    async def stop(self) -> None:
        """Tell them the last, within two seconds; the connections must have been drained before."""
        await self._records.stop(STOP_SECONDS)
        await self._counts.stop(STOP_SECONDS)

    def connect(self, connection: Connection) -> None:
        """A client came."""
        self._sessions[connection] = {}
        self._counts.add(online(connection.user.id), 1)

    def disconnect(self, connection: Connection) -> None:
        """A client is gone: it may be back in a moment."""
        sessions = self._sessions.pop(connection, None)
        if sessions is None:
            return
        self._counts.add(online(connection.user.id), -1)
        for session in sessions.values():
            self._counts.add(connection_counts(session.channel_id), -1)
            self._records.tell(session, CLOSING)

    def join(self, connection: Connection, channel_id: str) -> None:
        """A client is in a channel; again: nothing happens."""
        sessions = self._sessions.get(connection)
        if sessions is None or channel_id in sessions:
            return
        # An id for each join: a record that comes late can end no other join than its own.
        session = sessions[channel_id] = Session(new_id(), channel_id, connection.user)
        self._counts.add(connection_counts(channel_id), 1)
        self._records.tell(session, JOINED)

    def leave(self, connection: Connection, channel_id: str) -> None:
        """A client has left a channel."""
        session = self._sessions.get(connection, {}).pop(channel_id, None)
        if session is not None:
            self._counts.add(connection_counts(channel_id), -1)
            self._records.tell(session, LEFT)

    def tell_typing(self, user: User, channel_id: str) -> None:
        """A user types in a channel."""
        self._records.tell_typing(channel_id, user)

    def _begin_anew(self, gateway_id: str) -> None:
        # Whoever took the last lease's sessions for over is told that they live, under this one.
        self._records.gateway_id = gateway_id
        for sessions in self._sessions.values():
            self._records.tell_again(sessions.values())
