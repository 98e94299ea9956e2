"""What gateways may know of the tables: written behind them, and only if newer by position."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from redis.asyncio import Redis

from app.keys import newest_number, notification_count, read_states
from app.stream_log.scripts import Call, Script
from tables.positions import Position

_SCRIPT: Final = Script((Path(__file__).parent / "project.lua").read_text())

_KEYS_A_CALL: Final = 1000
"""Redis does nothing else meanwhile: about 2 ms."""

LEFT: Final = "left"


class Projection(NamedTuple):
    """A value for gateways: its key, the field if that is a hash, and the record it comes from."""

    key: str
    field: str
    content: str
    position: Position


def number_projection(channel_id: str, number: int, position: Position) -> Projection:
    """A channel's newest message number."""
    return Projection(newest_number(channel_id), "", str(number), position)


def read_state_projection(
    channel_id: str,
    user_id: str,
    *,
    read: int,
    mentions: Sequence[int],
    position: Sequence[Any],
    left: bool,
) -> Projection:
    """How far a user has read a channel, and which numbers above that name them."""
    content = LEFT if left else orjson.dumps((read, mentions)).decode()
    return Projection(read_states(user_id), channel_id, content, Position(*position))


def notifications_projection(user_id: str, unread: int, position: Position) -> Projection:
    """How many notifications a user has not read."""
    return Projection(notification_count(user_id), "", str(unread), position)


def projection_calls(projections: Sequence[Projection]) -> list[Call]:
    """The script calls that write projections, a thousand to a call.

    Safe to repeat, and at any time: what is there from a later record stays. Read states come
    before numbers: who reads a number finds the mentions up to it counted.
    """
    calls: list[Call] = []
    ordered = sorted(projections, key=lambda projection: not projection.field)
    for start in range(0, len(ordered), _KEYS_A_CALL):
        some = ordered[start : start + _KEYS_A_CALL]
        arguments: list[str] = []
        for _, field, content, (incarnation, partition, offset) in some:
            arguments += (field, f"{content} {incarnation}:{partition}:{offset}")
        calls.append((_SCRIPT, [projection.key for projection in some], arguments))
    return calls


async def write_projections(redis: Redis, projections: Sequence[Projection]) -> None:
    """Write projections over a connection of any kind."""
    script = redis.register_script(_SCRIPT.text)
    for _, keys, arguments in projection_calls(projections):
        await script(keys=keys, args=["", *arguments])


async def project_numbers(redis: Redis, entries: Sequence[tuple[bytes, bytes]]) -> None:
    """Write the newest numbers out of entries of `channel_state`, as the changelog has them."""
    states = [(orjson.loads(key), orjson.loads(value)) for key, value in entries]
    await write_projections(
        redis,
        [number_projection(key, s["number"], Position(*s["position"])) for key, s in states],
    )


async def project_notifications(redis: Redis, entries: Sequence[tuple[bytes, bytes]]) -> None:
    """Write the counts out of entries of `notification_state`, as the changelog has them."""
    states = [(orjson.loads(key), orjson.loads(value)) for key, value in entries]
    await write_projections(
        redis,
        [notifications_projection(key, s["unread"], Position(*s["position"])) for key, s in states],
    )


async def project_read_states(redis: Redis, entries: Sequence[tuple[bytes, bytes]]) -> None:
    """Write the read states out of entries of `read_state`, as the changelog has them."""
    await write_projections(redis, [_read_state(*entry) for entry in entries])


def _read_state(key: bytes, value: bytes) -> Projection:
    channel_id, user_id = orjson.loads(key)
    return read_state_projection(channel_id, user_id, **orjson.loads(value))
