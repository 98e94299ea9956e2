"""A body that does not come, on a real connection."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from web.middlewares import _requests, answer_problems, measure
from web.rest import bodies
from web.schemas import MarkRead

HALF = b"POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{"


@pytest.fixture
def begun() -> asyncio.Event:
    """Set when the call begins."""
    return asyncio.Event()


@pytest.fixture
async def port(begun: asyncio.Event) -> AsyncIterator[int]:
    """Where an application of one call is served."""

    async def read(request: web.Request) -> web.Response:
        begun.set()
        await bodies.read_body(request, MarkRead)
        return web.Response()

    application = web.Application(middlewares=[measure, answer_problems])
    application.router.add_post("/half", read)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_body_that_stays_away_is_answered_in_time(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HALF)
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()


async def test_client_that_goes_while_its_body_comes_is_no_fault_of_the_server(
    port: int, begun: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    counted = _requests.labels("POST", "/half", 400)._value
    before = counted.get()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HALF)
    await asyncio.wait_for(begun.wait(), 10)
    with caplog.at_level(logging.WARNING):
        writer.transport.abort()
        async with asyncio.timeout(10):
            while counted.get() == before:
                await asyncio.sleep(0.01)
    assert caplog.messages == []
