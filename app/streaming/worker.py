"""The life of a worker process: start, serve its health, run until told or failed, stop in time."""

import asyncio
import gc
import logging
import os
import signal
import threading
from contextlib import suppress
from typing import Any, Final

from aiohttp import web
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.clients import create_admin, wait_for
from app.errors import ProvisionError, Unavailable
from app.settings import Settings
from app.streaming.application import Application
from app.streaming.transport import Consumer
from app.streaming.watchdog import watch_commits
from app.telemetry.health import Health, Probe, add_routes

log = logging.getLogger(__name__)

EXIT_FAILED: Final = 70
"""The supervisor starts the worker again; nothing that it held was acknowledged."""

_STOP_SECONDS: Final = 9.0
"""A drain and a clean close; one that hangs is cut off: correctness does not need it."""


async def run(app: Application, settings: Settings, probes: dict[str, Probe]) -> int:
    """Run `app` until SIGTERM or SIGINT; return the exit status.

    Raises:
        Unavailable: Kafka does not answer within the time that a start has.
        ProvisionError: a topic is not the one that this worker has begun with.
    """
    _calm_garbage_collector()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    kafka = _KafkaProbe(settings)
    health = Health({"kafka": kafka.check, **probes}, frozenset({"mongodb"}), lambda: _details(app))
    runner = await _serve(settings, health)
    told = asyncio.create_task(stopping.wait())
    starting = asyncio.create_task(_start(app, settings, kafka))
    failing = asyncio.create_task(_watch(app, kafka))
    status, reason = 0, None
    try:
        await _first_to_end(told, starting, failing)
        if not told.done():
            status = EXIT_FAILED
            reason = _reason(starting, failing)
            if isinstance(reason, Unavailable):
                raise reason
            log.error("worker_failed", extra={"error": repr(reason)})
        await _stop(app, status)
        if isinstance(reason, ProvisionError):
            raise reason  # Another start would end like this one.
    finally:
        for task in (told, starting, failing):
            task.cancel()
        await asyncio.gather(told, starting, failing, return_exceptions=True)
        await runner.cleanup()
        await kafka.close()
    return status


def _calm_garbage_collector() -> None:
    """Look for cycles seldom: decoded records are many and have none.

    By default a third of a backlog's time went into walking over them.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _start(app: Application, settings: Settings, kafka: "_KafkaProbe") -> None:
    await wait_for("kafka", kafka.check, timeout_seconds=settings.start_timeout_seconds)
    await app.start()


async def _watch(app: Application, kafka: "_KafkaProbe") -> None:
    """Raise what ends the worker, when it comes to that."""
    crashed = asyncio.create_task(app._crashed.wait())
    watching = asyncio.create_task(watch_commits(lambda: _behind(app), kafka.answers))
    try:
        await asyncio.wait([crashed, watching], return_when=asyncio.FIRST_COMPLETED)
        if crashed.done():
            raise app.crash_reason or RuntimeError("crashed")
        await watching
    finally:
        crashed.cancel()
        watching.cancel()


async def _first_to_end(
    told: asyncio.Task[Any], starting: asyncio.Task[None], failing: asyncio.Task[None]
) -> None:
    pending: set[asyncio.Task[Any]] = {told, starting, failing}
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        is_started = done == {starting} and starting.exception() is None
        if not is_started:
            return


def _reason(*tasks: asyncio.Task[None]) -> BaseException | None:
    errors = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    return next((error for error in errors if error is not None), None)


async def _stop(app: Application, status: int) -> None:
    log.info("worker_stopping")
    _end_within(_STOP_SECONDS, status)
    try:
        await app.stop()
    except Exception as error:  # noqa: BLE001 - a courtesy: the end does not depend on it
        log.warning("worker_stop_failed", extra={"error": repr(error)})


def _end_within(seconds: float, status: int) -> None:
    """See that the process ends in time, whatever it waits for.

    Not by the event loop: Faust holds it up until its consumer's thread has ended, which waits for
    tasks of aiokafka's that may not. The process would be there, and do nothing, for ever.
    """

    def end() -> None:
        log.warning("worker_stop_cut_off")
        logging.shutdown()
        os._exit(status)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _behind(app: Application) -> dict[Any, int | None]:
    return app.consumer.behind() if isinstance(app.consumer, Consumer) and app.is_ready else {}


def _details(app: Application) -> dict[str, Any]:
    if not app.is_ready:
        return {"status": "unavailable", "worker": "rebalancing"}
    paused = app.lanes.paused
    return {"status": "degraded", "paused": paused} if paused else {}


async def _serve(settings: Settings, health: Health) -> web.AppRunner:
    application = web.Application()
    add_routes(application, health)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port).start()
    return runner


class _KafkaProbe:
    """Asks Kafka for its topics over a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None
        # Two checks at once would open two connections, and lose one.
        self._opening = asyncio.Lock()

    async def check(self) -> None:
        async with self._opening:
            if self._admin is None:
                self._admin = await self._open()
            admin = self._admin
        try:
            await admin.list_topics()
        except (KafkaError, OSError):
            await self.close()
            raise

    async def _open(self) -> AIOKafkaAdminClient:
        admin = create_admin(self._settings)
        try:
            await admin.start()
        except BaseException:
            await admin.close()
            raise
        return admin

    async def answers(self) -> bool:
        try:
            await asyncio.wait_for(self.check(), 2.0)
        except (KafkaError, OSError, TimeoutError):
            return False
        return True

    async def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with suppress(KafkaError, OSError):
                await admin.close()
