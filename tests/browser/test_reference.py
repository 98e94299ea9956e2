"""The page that shows the OpenAPI document: every call can be read and tried, by keyboard alone."""

import pytest
from playwright.async_api import Browser, expect

from dev.processes import Process
from tests.support.windows import Window, open_window
from web.routes import CALLS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def go_to_reference(window: Window, gateway: Process, place: str = "") -> None:
    await window.page.goto(f"{gateway.url}/api/docs{place}")
    await expect(window.page.locator("details.call")).to_have_count(len(CALLS))


async def test_reference_shows_every_call_and_what_goes_in_and_out(
    browser: Browser, gateway: Process
) -> None:
    async with open_window(browser, "reader") as window:
        await go_to_reference(window, gateway)
        calls = window.page.locator("details.call")
        await calls.evaluate_all("(all) => all.forEach((each) => { each.open = true; })")
        await expect(window.page.locator("details.call > div")).to_have_count(len(CALLS))
        sent = window.page.locator("#messages_send")
        await expect(sent.locator("td", has_text="content").first).to_be_visible()
        await expect(sent.get_by_text("idempotency_conflict")).to_be_visible()


async def test_call_is_found_and_tried_by_keyboard(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "reader") as window:
        await go_to_reference(window, gateway)
        page = window.page
        await page.keyboard.press("/")
        await page.keyboard.type("post /api/messages")
        await expect(page.locator("details.call:visible")).to_have_count(1)
        call = page.locator("#messages_send")
        await call.locator("summary").first.focus()
        await page.keyboard.press("Enter")
        await call.get_by_label("Body").fill(f'{{"channelId": "{channel}", "content": "Hello"}}')
        await page.get_by_label("User name").fill("Žofia")
        await call.get_by_role("button", name="Send").focus()
        await page.keyboard.press("Enter")
        outcome = call.get_by_role("status")
        await expect(outcome).to_contain_text("201")
        await expect(outcome.locator("pre").last).to_contain_text('"senderName": "Žofia"')
        await expect(call.locator("form > pre")).to_contain_text("-H 'X-User-Name: Žofia'")


async def test_link_to_a_call_opens_it(browser: Browser, gateway: Process) -> None:
    async with open_window(browser, "reader") as window:
        await go_to_reference(window, gateway, "#messages_list_page")
        call = window.page.locator("#messages_list_page")
        await call.get_by_role("button", name="Send").click()
        await expect(call.get_by_role("status")).to_contain_text("200")
