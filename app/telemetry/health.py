"""Whether a process is alive, and each of its dependencies, by name."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.outages import Outage

PROBE_SECONDS: Final = 1.0

Probe = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Health:
    """The probes of a process's dependencies.

    A failing probe of one in `vital` makes the process unavailable (503), of another degraded.
    `details` adds what a process knows of itself, such as a worker's paused partitions.
    """

    probes: Mapping[str, Probe]
    vital: frozenset[str]
    details: Callable[[], dict[str, Any]] = field(default=dict)

    async def check(self) -> tuple[int, dict[str, Any]]:
        """Probe every dependency at once; return the HTTP status and the answer's body."""
        names = list(self.probes)
        alive = await asyncio.gather(*(_answers(self.probes[name]) for name in names))
        dependencies = {name: {"ok": ok} for name, ok in zip(names, alive, strict=True)}
        failed = {name for name, ok in zip(names, alive, strict=True) if not ok}
        details = self.details()
        status = "unavailable" if failed & self.vital else "degraded" if failed else "ok"
        status = details.pop("status", status) if status == "ok" else status
        body = {"status": status, "dependencies": dependencies, **details}
        return 503 if status == "unavailable" else 200, body


async def _answers(probe: Probe) -> bool:
    try:
        await asyncio.wait_for(probe(), PROBE_SECONDS)
    except Outage:
        return False
    return True


def add_routes(application: web.Application, health: Health) -> None:
    """Serve `/healthz`, `/readyz` and `/metrics`."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        status, body = await health.check()
        return web.json_response(body, status=status)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
