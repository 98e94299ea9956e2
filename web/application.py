"""The wiring of a gateway: what it is made of, and the order in which that starts and stops."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web
from aiokafka import AIOKafkaProducer

from app.archive.channels import Channels
from app.archive.history import History
from app.archive.members import Members
from app.archive.messages import Messages
from app.archive.notifications import Notifications
from app.archive.numbers import NewestNumbers
from app.archive.reactions import Reactions
from app.clients import create_producer, ensure_fit, open_mongodb, open_redis, wait_for
from app.gathering import Gathering
from app.publisher import Publisher
from app.settings import Settings
from app.stream_log.log import StreamLog
from app.telemetry import health
from web.active_users import ActiveUsers
from web.deps import Gateway
from web.entries import Entries
from web.fan_out.hub import Hub
from web.keys import GATEWAY
from web.message_cache import MessageCache
from web.middlewares import answer_problems, measure
from web.origins import share
from web.page import assets
from web.presence import Presence
from web.routes import add_routes
from web.waiting import WaitingCounts

log = logging.getLogger(__name__)

BODY_BYTES: Final = 64 * 1024
CHANNELS_A_QUERY: Final = 500
DRAIN_SECONDS: Final = 1.0
"""What a stop gives to records under way, and again to the producer's own buffers."""


def create_application(settings: Settings) -> web.Application:
    """Return a gateway that is not started; call it where the event loop runs.

    Its start raises `Unavailable` for a dependency that does not answer in the time of the
    settings, and `UnfitServer` for a Redis that it cannot run on.
    """
    database = open_mongodb(settings)
    redis = open_redis(settings)
    producer = create_producer(settings)
    messages = Messages(database)

    gateway_id = secrets.token_hex(8)
    newest = Gathering(NewestNumbers(database).of_channels, CHANNELS_A_QUERY)
    stream_log = StreamLog(redis, lambda stream: newest.ask(stream.id))
    hub = Hub(settings, stream_log, History(database))
    presence = Presence(producer, redis, gateway_id)
    channels, members = Channels(database), Members(database)
    publisher = Publisher(producer, messages)
    hub.arrivals.append(presence.connect)
    hub.departures.append(presence.disconnect)
    gateway = Gateway(
        id=gateway_id,
        settings=settings,
        messages=messages,
        channels=channels,
        members=members,
        reactions=Reactions(database),
        notifications=Notifications(database),
        # A worker that is gone is missed for a session, and who takes over may be gone, too.
        cache=MessageCache(
            messages, stream_log, redis, lost_seconds=4 * settings.session_timeout_seconds
        ),
        publisher=publisher,
        log=stream_log,
        redis=redis,
        hub=hub,
        presence=presence,
        entries=Entries(channels, members, publisher),
        active_users=ActiveUsers(redis, hub),
        waiting=WaitingCounts(redis),
    )

    async def run(_: web.Application) -> AsyncIterator[None]:
        timeout = settings.start_timeout_seconds
        # Stopped the other way round: what needs a thing stops before it.
        async with AsyncExitStack() as stack:
            stack.callback(database.client.close)
            stack.push_async_callback(redis.aclose)
            stack.push_async_callback(stream_log.close)
            stack.push_async_callback(_stop, producer)
            await wait_for("mongodb", lambda: database.command("ping"), timeout_seconds=timeout)
            await wait_for("redis", lambda: ensure_fit(redis), timeout_seconds=timeout)
            await wait_for("kafka", producer.start, timeout_seconds=timeout)
            stack.push_async_callback(gateway.publisher.drain, DRAIN_SECONDS)
            stack.push_async_callback(gateway.entries.stop)
            stack.push_async_callback(presence.stop)
            presence.start()
            stack.push_async_callback(gateway.hub.stop)
            await gateway.hub.start()
            yield

    async def drain(_: web.Application) -> None:
        await gateway.hub.drain()

    application = web.Application(
        middlewares=[measure, answer_problems], client_max_size=BODY_BYTES
    )
    application[GATEWAY] = gateway
    share(application, settings.allowed_origins)
    add_routes(application)
    assets.add_routes(application)
    probes = {
        "kafka": producer.client.fetch_all_metadata,
        "redis": redis.ping,
        "mongodb": lambda: database.command("ping"),
    }
    health.add_routes(application, health.Health(probes, vital=frozenset({"mongodb"})))
    application.cleanup_ctx.append(run)
    # Called when the gateway accepts no more connections, before those it has are closed.
    application.on_shutdown.append(drain)
    return application


async def _stop(producer: AIOKafkaProducer) -> None:
    # Without Kafka it would wait for its buffers, which MongoDB knows to be pending.
    try:
        await asyncio.wait_for(producer.stop(), DRAIN_SECONDS)
    except TimeoutError:
        log.warning("producer_not_flushed")
