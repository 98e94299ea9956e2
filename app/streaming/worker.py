"""The life of a worker process: start, serve its health, run until told or failed, stop in time."""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import Any, Final

from aiohttp import web
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.clients import create_admin
from app.errors import HubbubError
from app.settings import Settings
from app.streaming.application import Application
from app.streaming.transport import Consumer
from app.streaming.watchdog import watch_commits
from app.telemetry.health import Health, Probe, add_routes

log = logging.getLogger(__name__)

EXIT_FAILED: Final = 70
"""The supervisor starts the worker again; nothing that it held was acknowledged."""

_STOP_SECONDS: Final = 9.5
"""A drain and a clean close; a close that hangs (aiokafka, now and then) is cut off: correctness
does not need it."""


async def run(app: Application, settings: Settings, probes: dict[str, Probe]) -> int:
    """Run `app` until SIGTERM or SIGINT; return the exit status."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    kafka = _KafkaProbe(settings)
    health = Health({"kafka": kafka.check, **probes}, frozenset({"mongodb"}), lambda: _details(app))
    runner = await _serve(settings, health)
    starting = asyncio.create_task(app.start())
    watching = asyncio.create_task(watch_commits(lambda: _behind(app), kafka.answers))
    told = asyncio.create_task(stopping.wait())
    failed = asyncio.create_task(app._crashed.wait())
    status = 0
    try:
        await asyncio.wait([told, failed, watching], return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            status = EXIT_FAILED
            log.error("worker_failed", extra={"error": repr(_reason(app, watching))})
        await _stop(app, starting)
    finally:
        for task in (told, failed, watching, starting):
            task.cancel()
        await asyncio.gather(told, failed, watching, starting, return_exceptions=True)
        await runner.cleanup()
        await kafka.close()
    return status


def _reason(app: Application, watching: asyncio.Task[None]) -> BaseException | None:
    if app.crash_reason is not None:
        return app.crash_reason
    return watching.exception() if watching.done() and not watching.cancelled() else None


async def _stop(app: Application, starting: asyncio.Task[Any]) -> None:
    log.info("worker_stopping")
    stop = asyncio.create_task(app.stop())
    done, _ = await asyncio.wait([stop], timeout=_STOP_SECONDS)
    if not done:
        log.warning("worker_stop_cut_off")
        logging.shutdown()
        os._exit(0)
    with suppress(HubbubError, KafkaError, OSError):
        await stop


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
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port).start()
    return runner


class _KafkaProbe:
    """Asks Kafka for its topics over a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None

    async def check(self) -> None:
        if self._admin is None:
            admin = create_admin(self._settings)
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        try:
            await self._admin.list_topics()
        except (KafkaError, OSError):
            await self.close()
            raise

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
