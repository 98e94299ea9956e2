"""People at the page, each in a browser window of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    async_playwright,
    expect,
)

from dev.tools import chromium

WAIT_MS = 45_000


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Start a headless Chromium."""
    playwright: Playwright
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        # Without its sandbox it runs as root, and in a container: it sees our own page only.
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


class Window:
    """One person at the page; `errors` is what the page complained of."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.set_default_timeout(WAIT_MS)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.errors.append(message.text)

    @property
    def field(self) -> Locator:
        """Where a message is written."""
        return self.page.locator("#composer-text")

    async def enter(self, url: str, channel: str) -> None:
        """Pick a name and a first channel, and wait until connected."""
        await self.page.goto(url)
        await self.page.get_by_label("Your name").fill(self.name)
        await self.page.get_by_label("First channel").fill(channel)
        await self.page.get_by_role("button", name="Start talking").click()
        await self.until_state("online")
        await self.page.locator("#log-start:not(:text-is('Loading…'))").wait_for()

    async def go_to(self, channel: str) -> None:
        """Show another channel, which is joined if need be."""
        await self.page.keyboard.press("Control+K")
        await self.page.keyboard.type(channel)
        await self.page.keyboard.press("Enter")

    async def say(self, *texts: str) -> None:
        """Write and send, whatever the connection is."""
        for text in texts:
            await self.field.fill(text)
            await self.field.press("Enter")

    def message(self, text: str) -> Locator:
        """The message with this text, once it has come back from the gateway."""
        return self.page.locator(".message[data-id]").filter(has_text=text)

    async def texts(self) -> list[str]:
        """The texts of all messages in the log, drafts too, in order."""
        return await self.page.locator(".message .text").all_inner_texts()

    async def until_state(self, state: str) -> None:
        """Wait until the page shows this state of its connection."""
        await self.page.locator(f"#connection[data-state={state}]").wait_for()

    async def until_settled(self, count: int) -> None:
        """Wait until the log holds `count` messages and no draft."""
        await self.page.wait_for_function(
            """count => document.querySelectorAll(".message[data-id]").length === count
                && !document.querySelector(".draft")""",
            arg=count,
        )

    async def evaluate(self, script: str) -> Any:
        """Run a script in the page."""
        return await self.page.evaluate(script)


@asynccontextmanager
async def open_window(browser: Browser, name: str, **options: Any) -> AsyncIterator[Window]:
    """Open a window of one person; `options` as of `Browser.new_context`.

    Raises:
        AssertionError: when it is closed, if the page threw an error.
    """
    context = await browser.new_context(**options)
    window = Window(await context.new_page(), name)
    try:
        yield window
    finally:
        await context.close()
    assert window.errors == []
