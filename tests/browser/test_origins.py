"""The JavaScript client on a page of another site."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Error

from dev.processes import Process
from tests.support.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

TALK: Final = """async ({ url, channelId }) => {
    const { HubbubClient } = await import(`${url}/assets/client/hubbub.js`);
    const client = new HubbubClient({ url, user: { id: "u1", name: "Ann" } });
    const channel = client.join(channelId);
    client.connect();
    client.send(channelId, "Hello from afar");
    while (!channel.timeline.messages.length) await new Promise((done) => setTimeout(done, 50));
    const [message] = channel.timeline.messages;
    await client.react(message.id, "👍", true);
    const source = new EventSource(`${url}/api/events?channels=${channelId}&userId=u1`);
    await new Promise((done) => source.addEventListener("hello", done));
    return message.content;
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def site() -> AsyncIterator[str]:
    """The origin of a site of somebody else's."""

    async def show(_: web.Request) -> web.Response:
        return web.Response(text="<p>A site</p>", content_type="text/html")

    application = web.Application()
    application.router.add_get("/", show)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


async def test_page_of_another_site_talks_where_it_is_allowed_and_nowhere_else(
    browser: Browser, stack: Stack, gateway: Process, channel: str, site: str
) -> None:
    [allowing] = stack.start("web.2", HUBBUB_ALLOWED_ORIGINS=site)
    page = await browser.new_page()
    try:
        await page.goto(site)
        said = await page.evaluate(TALK, {"url": allowing.url, "channelId": channel})
        assert said == "Hello from afar"
        with pytest.raises(Error, match="Failed to fetch"):
            await page.evaluate("(url) => fetch(url)", f"{gateway.url}/api/presence?userIds=u1")
    finally:
        await page.close()
        allowing.kill()
