"""What gateways may know of the tables: written behind them, and only if newer by position."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from redis.asyncio import Redis

from app.keys import newest_number
from tables.positions import Position

_PROJECT: Final = (Path(__file__).parent / "project.lua").read_text()

_KEYS_A_SCRIPT: Final = 1000


class Newest(NamedTuple):
    """A channel's newest message number, and the record that it was counted from."""

    channel_id: str
    number: int
    position: Position


async def write_numbers(redis: Redis, numbers: Sequence[Newest]) -> None:
    """Write the newest numbers of channels, a thousand to a round trip.

    Safe to repeat, and at any time: what is there from a later record stays.
    """
    script = redis.register_script(_PROJECT)
    for start in range(0, len(numbers), _KEYS_A_SCRIPT):
        some = numbers[start : start + _KEYS_A_SCRIPT]
        arguments: list[str | int] = []
        for _, number, (incarnation, partition, offset) in some:
            arguments += (number, f"{incarnation}:{partition}:", offset)
        await script(keys=[newest_number(newest.channel_id) for newest in some], args=arguments)


async def project_numbers(redis: Redis, entries: Sequence[tuple[bytes, bytes]]) -> None:
    """Write the newest numbers out of entries of `channel_state`, as the changelog has them."""
    states = [(orjson.loads(key), orjson.loads(value)) for key, value in entries]
    await write_numbers(
        redis,
        [Newest(key, state["number"], Position(*state["position"])) for key, state in states],
    )
