"""What everybody needs: names, sizes, contrast, a phone, colours that can be chosen."""

from typing import Any, Final

import pytest
from playwright.async_api import Browser, expect

from dev.processes import Process
from tests.support.windows import Window, open_window

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 390, "height": 780},
    "has_touch": True,
    "is_mobile": True,
}

NAMELESS: Final = """() => [...document.querySelectorAll("button, input, textarea, a, [role]")]
    .filter((node) => node.checkVisibility({ visibilityProperty: true }))
    .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim()
        || node.getAttribute("aria-labelledby") || node.labels?.length))
    .map((node) => node.outerHTML)"""

SMALL: Final = """() => [...document.querySelectorAll("button, input, textarea")]
    .filter((node) => node.checkVisibility({ visibilityProperty: true }))
    .filter((node) => !node.closest(".reactions, .text"))
    .map((node) => [node.id || node.outerHTML, node.getBoundingClientRect()])
    .filter(([, { width, height }]) => width < 43.9 || height < 43.9)
    .map(([name, { width, height }]) => `${name}: ${width} × ${height}`)"""

# WCAG 2.2, 1.4.3: 4.5 for text. Colours are drawn, to have them as sRGB.
PALE: Final = """() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgbOf = (colours) => {
        context.clearRect(0, 0, 1, 1);
        for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = (rgb) => rgb.map((value) => value / 255)
        .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
    const pale = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
        const node = text.parentElement;
        if (!text.data.trim() || !node.checkVisibility({ visibilityProperty: true })) continue;
        if (node.closest(".visually-hidden, :disabled, noscript, script")) continue;
        const grounds = [];
        for (let at = node; at; at = at.parentElement) {
            grounds.unshift(getComputedStyle(at).backgroundColor);
        }
        const [light, dark] = [luminance(rgbOf(grounds)),
            luminance(rgbOf([...grounds, getComputedStyle(node).color]))].sort((a, b) => b - a);
        const ratio = (light + 0.05) / (dark + 0.05);
        if (ratio < 4.5) pale.push(`${text.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return pale;
}"""


async def talk(window: Window, url: str, channel: str) -> None:
    await window.enter(url, channel)
    await window.say("Hello", "see https://example.org", "a word")
    await window.until_settled(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_has_a_name_and_enough_contrast(
    browser: Browser, gateway: Process, channel: str, scheme: Any
) -> None:
    async with open_window(browser, "Anna Lind", color_scheme=scheme) as anna:
        await talk(anna, gateway.url, channel)
        await anna.message("a word").hover()
        assert await anna.evaluate(NAMELESS) == []
        assert await anna.evaluate(PALE) == []
        await anna.page.locator("#help").click()
        assert await anna.evaluate(PALE) == []
        assert await anna.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(244, 245, 241)" if scheme == "light" else "rgb(16, 21, 20)"
        )


async def test_fingers_find_everything_on_a_phone(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna", **PHONE) as anna:
        await talk(anna, gateway.url, channel)
        await anna.message("a word").tap()
        await expect(anna.message("a word").locator(".tools")).to_be_visible()
        assert await anna.evaluate(SMALL) == []
        await anna.page.get_by_role("button", name="Open channels").tap()
        await anna.page.get_by_label("Go to or join a channel").fill(f"{channel}-other")
        assert await anna.evaluate(SMALL) == []
        await anna.page.get_by_role("button", name="Go to channel").tap()
        await expect(anna.page.locator("#room-name")).to_have_text(f"#{channel}-other")
        await expect(anna.page.locator("#channels")).to_be_hidden()
        assert await anna.evaluate("document.documentElement.scrollWidth") == 390


async def test_panels_and_dialogs_close_by_escape_and_give_the_focus_back(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna", viewport={"width": 700, "height": 700}) as anna:
        await talk(anna, gateway.url, channel)
        for opener, panel in (
            ("#channels-open", "#channels"),
            ("#people-toggle", "#people"),
            ("#bell", "#notifications"),
        ):
            await anna.page.locator(opener).focus()
            await anna.page.keyboard.press("Enter")
            await expect(anna.page.locator(panel)).to_be_visible()
            await anna.page.keyboard.press("Escape")
            await expect(anna.page.locator(panel)).to_be_hidden()
            await expect(anna.page.locator(opener)).to_be_focused()


async def test_colours_that_were_chosen_stay(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna", color_scheme="light") as anna:
        await anna.enter(gateway.url, channel)
        toggle = anna.page.locator("#theme")
        await toggle.click()
        await toggle.click()
        await expect(toggle).to_have_accessible_name("Colours: dark. Change")
        await anna.page.reload()
        await expect(anna.page.locator("body")).to_have_css("background-color", "rgb(16, 21, 20)")


async def test_message_of_somebody_else_is_announced_once_and_history_is_not(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await ben.enter(gateway.url, channel)
        await ben.say("before")
        await ben.until_settled(1)
        await anna.enter(gateway.url, channel)
        await anna.message("before").wait_for()
        await anna.say("my own")
        await ben.say("hello")
        await anna.until_settled(3)
        announcer = anna.page.locator("#announcer")
        assert await announcer.get_attribute("aria-live") == "polite"
        await expect(announcer.locator("p")).to_have_text(["Ben: hello"])
