"""`python -m agents <messages|activity|reactions|notifications>`: one worker of one consumer group.

The composition root of a worker: what is opened, in which order, and how it ends.
"""

import argparse
import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import uvloop

from agents import activity, messages, notifications, reactions
from agents.burial import Burial
from agents.deps import Deps
from app import settings as settings_module
from app.archive.channels import Channels
from app.archive.marks import Marks
from app.archive.members import Members
from app.archive.messages import Messages
from app.archive.notifications import Notifications
from app.archive.pending import PendingMessages
from app.archive.topics import TopicRegistry
from app.clients import create_admin, ensure_fit, open_mongodb, open_redis, wait_for
from app.errors import HubbubError
from app.keys import StreamKey
from app.lag import watch_lag
from app.offsets import Offsets
from app.provisioning import ensure_known, watch_topic
from app.reconciler import Reconciler
from app.settings import Settings
from app.stream_log.log import StreamLog
from app.streaming import worker
from app.streaming.application import Application
from app.telemetry import logs
from app.topics import MESSAGES, NOTIFICATIONS, REACTIONS, USER_ACTIVITY, Topic
from tables.redis_table import RedisTable

AGENTS: Final[dict[str, tuple[Topic, Callable[[Application, Deps], None]]]] = {
    "messages": (MESSAGES, messages.register),
    "activity": (USER_ACTIVITY, activity.register),
    "reactions": (REACTIONS, reactions.register),
    "notifications": (NOTIFICATIONS, notifications.register),
}


async def run(name: str, settings: Settings) -> int:
    """Run the worker of one agent until it is told to stop; return its exit status."""
    topic, register = AGENTS[name]
    redis = open_redis(settings)
    database = open_mongodb(settings)
    timeout = settings.start_timeout_seconds
    await wait_for("mongodb", lambda: database.command("ping"), timeout_seconds=timeout)
    await wait_for("redis", lambda: ensure_fit(redis), timeout_seconds=timeout)
    registry = TopicRegistry(database)
    partitions, incarnation = await _ensure_known(settings, registry, topic)
    archive = Messages(database)

    async def highest_number(stream: StreamKey) -> int:
        return await archive.highest_number(stream.id) if stream.kind == "channel" else 0

    log = StreamLog(redis, highest_number)
    pending = PendingMessages(database)
    app = Application(
        topic,
        settings,
        partitions=partitions,
        incarnation=incarnation,
        table=RedisTable,
        bury=Burial(pending, topic, partitions).bury,
    )
    deps = Deps(
        marks=Marks(database),
        log=log,
        redis=redis,
        instance=settings.instance or f"{name}@{socket.gethostname()}",
        channels=Channels(database),
        members=Members(database),
        notifications=Notifications(database),
    )
    register(app, deps)
    offsets = Offsets(settings)
    beside: list[Coroutine[Any, Any, None]] = [
        watch_topic(settings, registry, topic),
        watch_lag(settings, topic, partitions),
    ]
    if topic is MESSAGES:
        beside.append(Reconciler(app, pending, offsets).run())
    tasks = [asyncio.create_task(_run_beside(app, work)) for work in beside]
    try:
        return await worker.run(
            app, settings, {"redis": redis.ping, "mongodb": lambda: database.command("ping")}
        )
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await offsets.close()
        await log.close()
        await redis.aclose()
        database.client.close()


async def _ensure_known(
    settings: Settings, registry: TopicRegistry, topic: Topic
) -> tuple[int, str]:
    admin = create_admin(settings)
    try:
        await wait_for("kafka", admin.start, timeout_seconds=settings.start_timeout_seconds)
        return await ensure_known(admin, registry, topic)
    finally:
        await admin.close()


async def _run_beside(app: Application, work: Coroutine[Any, Any, None]) -> None:
    """Run what goes on beside the agent; its failure ends the worker, which would miss it."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - it is handed to the app, which ends with it
        await app.crash(error)


def main() -> int:
    """Read the settings and run; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m agents", description=__doc__)
    parser.add_argument("agent", choices=sorted(AGENTS))
    name = parser.parse_args().agent
    try:
        settings = settings_module.load()
        logs.configure(level=settings.log_level, form=settings.log_format)
        # Of Faust's consumer thread too, whose loop is made by the policy.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        return asyncio.run(run(name, settings))
    except HubbubError as error:
        sys.stderr.write(f"hubbub: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
