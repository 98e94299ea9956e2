"""Which origins are welcome, where all are or none is named."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from web.middlewares import answer_problems
from web.origins import is_welcome, share


async def answer(_: web.Request) -> web.Response:
    return web.Response(headers={"Vary": "Accept"})


async def headers_of(allowed: tuple[str, ...], method: str = "GET", status: int = 200) -> set[str]:
    application = web.Application(middlewares=[answer_problems])
    share(application, allowed)
    application.router.add_get("/api/x", answer)
    headers = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
    async with TestClient(TestServer(application)) as client:
        response = await client.request(method, "/api/x", headers=headers)
        assert response.status == status
        return {f"{name}: {value}" for name, value in response.headers.items()}


async def test_any_origin_is_answered_with_a_star() -> None:
    headers = await headers_of(("*",))
    assert {"Access-Control-Allow-Origin: *", "Vary: Accept"} <= headers
    assert "Vary: Origin" not in headers
    assert "Access-Control-Allow-Origin: *" in await headers_of(("*",), "OPTIONS", 204)


async def test_vary_of_the_call_stays() -> None:
    assert {"Vary: Accept", "Vary: Origin"} <= await headers_of(("https://chat.example",))


async def test_without_origins_nothing_is_said_and_no_preflight_is_granted() -> None:
    assert not any("Access-Control" in header for header in await headers_of(()))
    assert not any("Access-Control" in header for header in await headers_of((), "OPTIONS", 405))


@pytest.mark.parametrize(
    ("allowed", "welcome"),
    [((), True), (("*",), True), (("https://a",), True), (("http://a", "https://b"), False)],
)
def test_origin_is_compared_whole(allowed: tuple[str, ...], welcome: bool) -> None:
    assert is_welcome({"Origin": "https://a", "Host": "b"}, allowed) == welcome
