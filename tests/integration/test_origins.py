"""Pages of other origins, on a real gateway."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from app.commands.release import release
from app.settings import Settings
from tests.support.rest import ALICE, problem
from web.application import create_application
from web.keys import GATEWAY
from web.transports.door import Entrance

ALLOWED = {"Origin": "https://chat.example"}
FOREIGN = {"Origin": "https://evil.example"}
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-user-id",
}


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a gateway that allows one origin."""
    await release(settings)
    allowing = settings.model_copy(update={"allowed_origins": ("https://chat.example",)})
    application = create_application(allowing)
    runner = web.AppRunner(application)
    await runner.setup()
    entrance = Entrance(application[GATEWAY], runner)
    port = await entrance.open("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session
    entrance.close()
    await runner.cleanup()


async def test_preflight_of_an_allowed_origin_is_granted(http: aiohttp.ClientSession) -> None:
    response = await http.options("/api/messages", headers={**ALLOWED, **PREFLIGHT})
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://chat.example"
    assert response.headers["Vary"] == "Origin"
    assert "PATCH" in response.headers["Access-Control-Allow-Methods"].split(", ")
    allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"content-type", "x-user-id", "idempotency-key", "last-event-id"} <= set(allowed)
    assert int(response.headers["Access-Control-Max-Age"]) > 0


async def test_answers_to_an_allowed_origin_are_for_its_pages_to_read(
    http: aiohttp.ClientSession,
) -> None:
    for path, status in (
        ("/api/messages?channelId=c", 200),
        ("/api/messages?limit=0", 422),
        ("/api/nothing", 404),
        ("/assets/client/hubbub.js", 200),
        ("/api/events?channels=c&userId=u1", 200),
    ):
        async with http.get(path, headers=ALLOWED) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == "https://chat.example", path
            assert response.headers["Vary"] == "Origin"
            exposed = response.headers["Access-Control-Expose-Headers"]
            assert {"X-Cache", "Retry-After"} <= set(exposed.split(", "))
    async with http.get("/metrics", headers=ALLOWED) as response:
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_pages_of_a_foreign_origin_are_refused(http: aiohttp.ClientSession) -> None:
    for response in (
        await http.options("/api/messages", headers={**FOREIGN, **PREFLIGHT}),
        await http.post("/api/channels/c/typing?userId=u1", headers=FOREIGN),
        await http.get("/api/events?channels=c&userId=u1", headers=FOREIGN),
        await http.get("/api/messages?channelId=c", headers={"Origin": "null"}),
    ):
        assert await problem(response) == (403, "forbidden", [])
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.headers["Vary"] == "Origin"


async def test_websocket_is_for_allowed_and_own_pages_and_for_who_is_no_browser(
    http: aiohttp.ClientSession,
) -> None:
    own = URL(str(http._base_url)).origin()
    for headers in (ALLOWED, {"Origin": str(own)}, {"Origin": str(own.with_scheme("https"))}, {}):
        async with http.ws_connect("/ws", headers={**ALICE, **headers}) as socket:
            assert (await socket.receive_json())["type"] == "hello"
    for headers in (FOREIGN, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/ws", headers={**ALICE, **headers})
        assert refused.value.status == 403
