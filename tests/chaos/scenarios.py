"""For each mechanism, what happens that only it carries the guarantee over.

Each scenario runs twice: with the mechanism on, when nobody may complain, and with it off, when
somebody must.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from redis.asyncio import Redis

from tests.chaos.stage import Scene, roll_redis_back
from tests.chaos.tally import Tally
from tests.support.waiting import until

COMMIT_SECONDS: Final = 2.5
"""Longer than a worker waits with its next commit."""

WAKE_SECONDS: Final = 2.0
"""What a worker that wakes would need for an append."""


async def deliver_again(scene: Scene) -> Tally:
    """A worker dies after it has appended an edit, and before it has committed."""
    stage = scene.stage
    await stage.have("web.1", alone=True)
    await stage.have("messages.1", sabotage=scene.sabotage)
    follower, poster = await scene.follower(), await scene.poster()
    message = await poster.send(scene.channel)
    await scene.until_came(follower, message.id)
    await stage.until_committed()
    stage.hold("commit")
    await poster.edit(message)
    await scene.until_came(follower, message.id, rev=2)
    stage.process("messages.1").kill()
    stage.release("commit")
    await stage.have("messages.1", sabotage=scene.sabotage)
    last = await poster.send(scene.channel)
    await scene.until_came(follower, last.id)
    return await scene.end()


async def drop_in_between(scene: Scene) -> Tally:
    """An event is dropped on its way to a gateway; later ones are not."""
    stage = scene.stage
    await stage.have("messages.1", alone=True)
    await stage.have("web.1", sabotage=scene.sabotage)
    follower, poster = await scene.follower(), await scene.poster()
    await scene.until_came(follower, (await poster.send(scene.channel)).id)
    await _drop_one(scene)
    await poster.send(scene.channel)
    return await scene.end()


async def drop_the_last(scene: Scene) -> Tally:
    """The last event before a silence is dropped on its way to a gateway."""
    stage = scene.stage
    await stage.have("messages.1", alone=True)
    await stage.have("web.1", sabotage=scene.sabotage)
    follower, poster = await scene.follower(), await scene.poster()
    await scene.until_came(follower, (await poster.send(scene.channel)).id)
    await _drop_one(scene)
    return await scene.end()


async def _drop_one(scene: Scene) -> None:
    proxy, poster = scene.stage.proxy, await scene.poster("dropped")
    dropped = proxy.dropped_count
    proxy.is_dropped = lambda: True
    await poster.send(scene.channel)
    # The poster's own events are dropped, too; the channel's is appended in the same step.
    servers = scene.servers()
    try:
        await until(lambda: len(servers.cached(scene.channel)) == len(scene.oracle.messages))
    finally:
        servers.close()
    await until(lambda: proxy.dropped_count > dropped)
    await asyncio.sleep(0.3)
    proxy.is_dropped = lambda: False


async def roll_back(scene: Scene) -> Tally:
    """Redis comes back with what it had before the last messages; a client was away meanwhile."""
    stage = scene.stage
    await stage.have("web.1", "messages.1", sabotage=scene.sabotage, alone=True)
    follower, poster = await scene.follower(), await scene.poster()
    traveller = await scene.follower("traveller")
    for _ in range(3):
        last = await poster.send(scene.channel)
    for each in scene.followers:
        await scene.until_came(each, last.id)
    await traveller.pause()
    kept = stage.stack.folder / f"kept-{scene.channel}"
    stage.stack.redis.copy_data(kept)
    for _ in range(3):
        last = await poster.send(scene.channel)
    await scene.until_came(follower, last.id)
    await roll_redis_back(stage, kept)
    for _ in range(2):
        last = await poster.send(scene.channel)
    servers = scene.servers()
    try:
        await until(lambda: any(last.id.encode() in item for item in servers.cached(scene.channel)))
    finally:
        servers.close()
    traveller.go_on()
    await until(lambda: traveller.is_complete)
    return await scene.end()


async def overtake(scene: Scene) -> Tally:
    """A reaction is faster than the edit that was made before it."""
    stage = scene.stage
    await stage.have("web.1", "reactions.1", alone=True)
    await stage.have("messages.1", sabotage=scene.sabotage)
    follower, poster = await scene.follower(), await scene.poster()
    message = await poster.send(scene.channel)
    await scene.until_came(follower, message.id)
    stage.hold("marks")
    await poster.edit(message)
    await stage.until_held("marks", "messages.1")
    await poster.react(message, "👍")
    await scene.until_came(follower, message.id, rev=3)
    stage.release("marks")
    last = await poster.send(scene.channel)
    await scene.until_came(follower, last.id)
    return await scene.end()


async def die_with_work_in_hand(scene: Scene) -> Tally:
    """A worker dies with a batch in hand that it has not finished."""
    stage = scene.stage
    await stage.have("web.1", alone=True)
    await stage.have("messages.1", sabotage=scene.sabotage)
    follower, poster = await scene.follower(), await scene.poster()
    reader = await scene.poster("reader")
    for _ in range(3):
        last = await poster.send(scene.channel)
    await scene.until_came(follower, last.id)
    # The reader becomes a member by it, and has not read what comes next.
    first = await reader.send(scene.channel)
    await scene.until_came(follower, first.id)
    second = await poster.send(scene.channel)
    await scene.until_came(follower, second.id)
    stage.hold("marks")
    await poster.send(scene.channel)
    await stage.until_held("marks", "messages.1")
    # In the next batch, which waits for the one in hand.
    await reader.mark_read(scene.channel, len(scene.oracle.messages) - 1)
    # With the mechanism on it is not committed, however long one waits.
    await stage.until_committed(20 if scene.sabotage else COMMIT_SECONDS)
    stage.process("messages.1").kill()
    stage.release("marks")
    await stage.have("messages.1", sabotage=scene.sabotage)
    return await scene.end(unread_of=[reader])


async def die_before_kafka(scene: Scene) -> Tally:
    """A gateway dies after it has accepted a message, and before Kafka has it."""
    stage = scene.stage
    await stage.have("web.1", "web.2", alone=True)
    await stage.have("messages.1", sabotage=scene.sabotage)
    await scene.follower()
    poster = await scene.poster(gateway="web.2")
    stage.hold("publish")
    await poster.send(scene.channel)
    stage.kill("web.2")
    stage.release("publish")
    return await scene.end()


async def wake_late(scene: Scene) -> Tally:
    """A worker is frozen with a batch in hand; another goes on; Redis is flushed; it wakes."""
    stage = scene.stage
    await stage.have("web.1", alone=True)
    await stage.have("messages.1", sabotage=scene.sabotage)
    follower, poster = await scene.follower(), await scene.poster()
    await scene.until_came(follower, (await poster.send(scene.channel)).id)
    await stage.until_committed()
    stage.hold("marks")
    late = await poster.send(scene.channel)
    await stage.until_held("marks", "messages.1")
    frozen = stage.process("messages.1")
    frozen.freeze()
    stage.release("marks")
    await stage.have("messages.2")
    await scene.until_came(follower, late.id)
    for _ in range(2):
        last = await poster.send(scene.channel)
    await scene.until_came(follower, last.id)
    # The gateway would begin a new epoch as soon as it looks, and all would be well.
    gateway = stage.process("web.1")
    gateway.freeze()
    await _flush_redis(scene)
    frozen.thaw()
    await asyncio.sleep(WAKE_SECONDS)
    gateway.thaw()
    await poster.send(scene.channel)
    return await scene.end()


async def flush_tables(scene: Scene) -> Tally:
    """Redis loses a table, its owner writes on, dies, and another begins with what is there."""
    stage = scene.stage
    await stage.have("web.1", alone=True)
    await stage.have("messages.1", sabotage=scene.sabotage)
    follower, poster = await scene.follower(), await scene.poster()
    reader = await scene.poster("reader")
    first = await reader.send(scene.channel)
    await scene.until_came(follower, first.id)
    for _ in range(3):
        last = await poster.send(scene.channel)
    await scene.until_came(follower, last.id)
    await reader.mark_read(scene.channel, 4)
    last = await poster.send(scene.channel)
    await scene.until_came(follower, last.id)
    await stage.until_committed()
    await _flush_redis(scene)
    last = await poster.send(scene.channel)
    await scene.until_came(follower, last.id)
    await stage.until_committed()
    stage.process("messages.1").kill()
    await stage.have("messages.1", sabotage=scene.sabotage)
    return await scene.end(unread_of=[reader])


async def _flush_redis(scene: Scene) -> None:
    client = Redis(host="127.0.0.1", port=scene.stage.stack.redis.port)
    try:
        await client.flushall()
    finally:
        await client.aclose()


SCENARIOS: Final[dict[str, Callable[[Scene], Awaitable[Tally]]]] = {
    "guard": deliver_again,
    "hole_fill": drop_in_between,
    "position_check": drop_the_last,
    "rev_rule": overtake,
    "prefix_commit": die_with_work_in_hand,
    "reconciler": die_before_kafka,
    "lease": wake_late,
    "store_check": flush_tables,
    "run_id": roll_back,
}

COMPLAINTS: Final = {
    "guard": "doubled",
    "hole_fill": "gap",
    "position_check": "lost",
    "rev_rule": "differs",
    "prefix_commit": "lost",
    "reconciler": "lost",
    "lease": "gap",
    "store_check": "lost",
    "run_id": "gap",
}
"""What the oracle must say of each, beside what else it says."""
