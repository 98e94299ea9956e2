import re
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from app.errors import RequestError
from web.page import assets
from web.problems import CODES, describe

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    application = web.Application()
    assets.add_routes(application)
    async with TestClient(TestServer(application)) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/api/docs", "/api/docs/errors"])
async def test_page_is_served_and_may_load_from_its_own_host_only(
    client: Client, path: str
) -> None:
    response = await client.get(path)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert not re.search(r"unsafe|https?:|\*", policy)


async def test_everything_the_page_names_is_served_with_its_type(client: Client) -> None:
    waiting = []
    for page in ("/", "/api/docs", "/api/docs/errors"):
        text = await (await client.get(page)).text()
        assert not re.search(r'(?:src|href)="https?:', text)
        waiting += re.findall(r'(?:src|href)="(/assets/[^"]+)"', text)
    seen = set(waiting)
    assert {"/assets/main.js", "/assets/style.css", "/assets/docs/main.js"} <= seen
    while waiting:
        path = waiting.pop()
        response = await client.get(path)
        assert response.status == 200, path
        kind = "text/css" if path.endswith(".css") else "text/javascript"
        assert response.content_type == kind, path
        folder = path.rpartition("/")[0]
        for name in re.findall(r'from "\./([^"]+)"', await response.text()):
            if (imported := f"{folder}/{name}") not in seen:
                seen.add(imported)
                waiting.append(imported)
    assert "/assets/client/hubbub.js" in seen


async def test_asset_that_the_browser_has_is_answered_with_304(client: Client) -> None:
    first = await client.get("/assets/main.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = await client.get("/assets/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    other = await client.get("/assets/main.js", headers={"If-None-Match": '"other"'})
    assert other.status == 200


@pytest.mark.parametrize("path", ["/assets/assets.py", "/assets/../setup.cfg", "/assets/none.js"])
async def test_nothing_else_is_served(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 404


async def test_errors_have_an_anchor_for_the_type_of_every_problem(client: Client) -> None:
    page = await (await client.get("/api/docs/errors")).text()
    for name, code in CODES.items():
        type_ = orjson.loads(describe(RequestError(name, "why")).body)["type"]
        assert type_ == f"/api/docs/errors#{name}"
        assert page.count(f'id="{name}"') == 1
        assert str(code.status) in page
