"""What is said while a gateway or a network is away: nothing lost, nothing twice, in order."""

import asyncio
import re

import pytest
from playwright.async_api import Browser, WebSocketRoute
from redis import Redis as RedisClient

from dev.processes import Process
from tests.support.stack import Stack
from tests.support.windows import open_window

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_talk_through_a_killed_gateway_loses_and_doubles_nothing(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await anna.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await anna.say(*(f"anna {number}" for number in range(5)))
        await ben.say(*(f"ben {number}" for number in range(5)))
        # In the middle of what was just said.
        await asyncio.to_thread(gateway.kill)
        await anna.until_state("waiting")
        await anna.say(*(f"anna {number}" for number in range(5, 10)))
        await ben.say(*(f"ben {number}" for number in range(5, 10)))
        gateway.start()
        await asyncio.to_thread(gateway.wait_ready)
        await anna.until_settled(20)
        await ben.until_settled(20)
        texts = await anna.texts()
        assert texts == await ben.texts()
        for name in ("anna", "ben"):
            own = [text for text in texts if text.startswith(name)]
            assert own == [f"{name} {number}" for number in range(10)]


async def test_stopping_gateway_is_left_and_found_again(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await anna.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await anna.say("before")
        await ben.message("before").wait_for()
        await asyncio.to_thread(gateway.stop)
        await anna.until_state("waiting")
        await anna.say("while it is away")
        assert "is-sending" in str(await anna.page.locator(".draft").get_attribute("class"))
        gateway.start()
        await asyncio.to_thread(gateway.wait_ready)
        await ben.until_settled(2)
        assert await ben.texts() == ["before", "while it is away"]


async def test_window_without_a_network_catches_up_when_it_is_back(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await anna.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await anna.say("before", "will be edited", "will be deleted")
        await ben.until_settled(3)
        await ben.page.context.set_offline(True)
        await ben.until_state("waiting")
        assert await ben.page.locator("#connection").inner_text() == "Offline"
        await ben.page.locator("#lost").wait_for()

        pages: list[str] = []
        ben.page.on("request", lambda request: pages.append(request.url))
        await ben.say("said offline")
        await anna.say("missed")
        for text, key in (("will be edited", "e"), ("will be deleted", "Delete")):
            await anna.message(text).focus()
            await anna.page.keyboard.press(key)
            await anna.page.keyboard.press("Tab" if key == "Delete" else "Control+A")
            if key == "e":
                await anna.page.keyboard.type("was edited")
            await anna.page.keyboard.press("Enter")
            if key == "e":
                # The composer takes the focus back when the edit has come.
                await anna.message("was edited").wait_for()
        await anna.until_settled(3)
        assert await ben.texts() == ["before", "will be edited", "will be deleted", "said offline"]

        await ben.page.context.set_offline(False)
        await ben.until_settled(4)
        await anna.until_settled(4)
        assert await ben.texts() == await anna.texts()
        assert await ben.texts() == ["before", "was edited (edited)", "missed", "said offline"]
        assert await ben.page.locator("#lost").is_hidden()
        # By its cursor, not by reading the channel anew; of others pages may still be on their way.
        assert [url for url in pages if f"/api/messages?channelId={channel}&" in url] == []


async def test_page_that_is_loaded_again_shows_the_same(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna:
        await anna.enter(gateway.url, channel)
        await anna.say("one", "two")
        await anna.until_settled(2)
        await anna.page.reload()
        await anna.until_settled(2)
        assert await anna.texts() == ["one", "two"]


async def test_message_whose_answer_was_lost_is_repeated_and_stays_one(
    browser: Browser, gateway: Process, channel: str
) -> None:
    lost: list[str] = []

    async def lose_first_answer(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        async def forward(frame: str | bytes) -> None:
            if '"accepted"' in str(frame) and not lost:
                lost.append(str(frame))
                await socket.close()
                await server.close()
            elif not lost or socket is not first[0]:
                socket.send(frame)

        first.append(socket)
        server.on_message(forward)

    first: list[WebSocketRoute] = []
    async with open_window(browser, "Anna") as anna:
        await anna.page.route_web_socket("**/ws?*", lose_first_answer)
        await anna.enter(gateway.url, channel)
        await anna.say("only once", "after it")
        await anna.until_settled(2)
        assert await anna.texts() == ["only once", "after it"]
        assert (len(lost), len(first)) == (1, 2)
        await anna.page.reload()
        await anna.until_settled(2)
        assert await anna.texts() == ["only once", "after it"]


async def test_connection_that_died_in_silence_is_found_dead(
    browser: Browser, gateway: Process, channel: str
) -> None:
    sockets: list[WebSocketRoute] = []

    async def grow_silent(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        sockets.append(socket)

        def forward(frame: str | bytes) -> None:
            # A heartbeat of half a second, so that nobody waits for a minute here.
            text = re.sub(r'"heartbeatSeconds":\d+', '"heartbeatSeconds":0.5', str(frame))
            if len(sockets) > 1 or '"content":"heard"' not in text:
                socket.send(text)

        server.on_message(forward)

    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await anna.page.route_web_socket("**/ws?*", grow_silent)
        await anna.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await ben.say("heard")
        await ben.until_settled(1)
        sockets[0].on_message(lambda _: None)
        async with asyncio.timeout(60):
            while len(sockets) < 2:
                await asyncio.sleep(0.1)
        await anna.until_settled(1)


async def test_log_that_redis_lost_is_read_anew(
    browser: Browser, stack: Stack, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await anna.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await anna.say("one", "two")
        await ben.until_settled(2)
        await ben.page.context.set_offline(True)
        await ben.until_state("waiting")
        with RedisClient(host="127.0.0.1", port=stack.redis.port) as redis:
            redis.delete(f"{{messages:{channel}}}:log", f"{{messages:{channel}}}:meta")
        await anna.say("three")
        await anna.until_settled(3)
        await ben.page.context.set_offline(False)
        await ben.until_settled(3)
        assert await ben.texts() == await anna.texts() == ["one", "two", "three"]
