"""`python -m web`: one gateway process."""

import asyncio
import gc
import logging
import signal
import sys
from typing import Final

import uvloop

from app import settings as settings_module
from app.errors import HubbubError
from app.settings import Settings
from app.telemetry import logs
from web.application import create_application
from web.keys import GATEWAY
from web.transports.door import Entrance, create_runner

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 2.0
"""What requests under way are given at a stop; aiohttp gives it twice before it cancels them."""


async def serve(settings: Settings) -> None:
    """Run a gateway until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    application = create_application(settings)
    runner = create_runner(application, CLOSE_SECONDS)
    entrance = Entrance(application[GATEWAY], runner)
    try:
        await runner.setup()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stopping.set)
        await entrance.open(settings.host, settings.port)
        _calm_garbage_collector()
        log.info("gateway_started", extra={"port": settings.port})
        await stopping.wait()
        log.info("gateway_stopping")
    finally:
        entrance.close()
        await runner.cleanup()
    log.info("gateway_stopped")


def _calm_garbage_collector() -> None:
    """Look for cycles seldom: connections are many objects that stay, and are none.

    By default a fifth of the time in which thousands of clients came went into walking over them,
    in pauses of 0.1 s and more.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def main() -> int:
    """Run the gateway; return the exit status, 1 with one line on stderr if it cannot start."""
    try:
        settings = settings_module.load()
        logs.configure(level=settings.log_level, form=settings.log_format)
        uvloop.run(serve(settings))
    except HubbubError as error:
        sys.stderr.write(f"hubbub: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"hubbub: cannot listen: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
