"""What a client gets wrong in HTTP itself, on a real socket and without servers."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import cast

import orjson
import pytest
from aiohttp import web

from web.answers import ProblemDetails
from web.deps import Gateway
from web.middlewares import answer_problems, measure
from web.transports.door import LINE_BYTES, Entrance

SECRET = b"Bearer hunter2-"


async def read_body(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


@pytest.fixture
async def port() -> AsyncIterator[int]:
    application = web.Application(middlewares=[measure, answer_problems])
    application.router.add_post("/", read_body)
    runner = web.AppRunner(application, max_line_size=LINE_BYTES, max_field_size=LINE_BYTES)
    await runner.setup()
    entrance = Entrance(cast(Gateway, None), runner)
    yield await entrance.open("127.0.0.1", 0)
    entrance.close()
    await runner.cleanup()


async def say(port: int, data: bytes) -> tuple[bytes, bytes]:
    """Send bytes; return the head and the body of what is answered until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(30):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head, body


@pytest.mark.parametrize(
    "data",
    [
        b"hunter2 / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: %b%b\r\n\r\n" % (SECRET, b"a" * 17_000),
        b"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: %b\x01\r\n\r\n" % SECRET,
        b"POST /?hunter2=%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 17_000),
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzhunter2\r\n{}",
    ],
    ids=["method", "long header", "control character", "long line", "chunk"],
)
async def test_what_is_no_http_is_a_problem_that_repeats_nothing_of_it(
    port: int, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    head, body = await say(port, data)
    assert head.split()[1] == b"400"
    assert b"Content-Type: application/problem+json" in head
    problem = ProblemDetails.model_validate(orjson.loads(body))
    assert problem.code == "bad_request"
    assert b"hunter2" not in body
    assert [r.getMessage() for r in caplog.records if r.levelno > logging.DEBUG] == []


async def test_body_that_is_no_gzip_is_the_clients_fault_alone(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    head, body = await say(
        port,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    )
    assert head.split()[1] == b"400"
    assert orjson.loads(body)["code"] == "bad_json"
    assert [r.getMessage() for r in caplog.records if r.levelno > logging.DEBUG] == []
