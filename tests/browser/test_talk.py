"""Two people talk: what one does, the other sees."""

import re

import pytest
from playwright.async_api import Browser, expect

from dev.processes import Process
from tests.support.chat import chatting
from tests.support.waiting import until
from tests.support.windows import open_window

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_message_edit_and_deletion_are_seen_by_the_other(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await anna.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await anna.say("Hello Wrold", "to be deleted")
        await ben.message("to be deleted").wait_for()
        assert await ben.texts() == ["Hello Wrold", "to be deleted"]

        await anna.message("Hello Wrold").hover()
        await anna.message("Hello Wrold").get_by_role("button", name="Edit").click()
        editor = anna.page.get_by_label("Edit your message")
        await editor.fill("Hello World")
        await editor.press("Enter")
        await ben.message("Hello World").get_by_text("(edited)").wait_for()

        await anna.message("to be deleted").hover()
        await anna.message("to be deleted").get_by_role("button", name="Delete").click()
        await anna.page.locator("#deletion").get_by_role("button", name="Delete").click()
        await expect(ben.message("to be deleted")).to_have_count(0)
        tools = ben.message("Hello World").locator(".tools")
        await expect(tools.get_by_label("Reply")).to_have_count(1)
        await expect(tools.get_by_label("Edit")).to_have_count(0)


async def test_markup_of_others_stays_text_and_long_texts_stay_inside(
    browser: Browser, gateway: Process, channel: str
) -> None:
    hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    async with open_window(browser, "Anna", viewport={"width": 360, "height": 640}) as anna:
        await anna.enter(gateway.url, channel.ljust(64, "y"))
        await anna.say(hostile, "x" * 4000, "see https://example.org/?q=1.")
        await anna.until_settled(3)
        assert (await anna.texts())[:2] == [hostile, "x" * 4000]
        assert await anna.page.locator(".log img, .log script").count() == 0
        link = anna.page.locator(".text a")
        assert await link.get_attribute("href") == "https://example.org/?q=1"
        width = (
            "[document.documentElement.scrollWidth, scroller.scrollWidth - scroller.clientWidth]"
        )
        assert await anna.evaluate(width) == [360, 0]
        assert await anna.evaluate("composer.scrollWidth - composer.clientWidth") == 0
        last = await anna.page.locator("#people-toggle").bounding_box()
        assert last is not None
        assert last["x"] + last["width"] <= 360


async def test_history_is_loaded_on_scrolling_up_and_the_place_is_kept(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with chatting(gateway.url) as chat:
        for number in range(120):
            await chat.post("writer", channel, f"line {number}")

        async def are_numbered() -> bool:
            path = f"/api/messages?channelId={channel}&limit=1"
            _, page = await chat.call("GET", path, "writer")
            return [it["content"] for it in page["items"]] == ["line 119"]

        # What is numbered only when she is there comes on top of a page.
        await until(are_numbered)
    async with open_window(browser, "Anna") as anna:
        await anna.enter(gateway.url, channel)
        await anna.page.get_by_text("line 119", exact=True).wait_for()
        assert await anna.page.locator(".message").count() == 50
        oldest = anna.page.get_by_text("line 70", exact=True)
        shift = """async () => {
            const bottom = () => document.querySelector(`[data-key="${key}"]`)
                .getBoundingClientRect().bottom;
            const { key } = document.querySelector(".message").dataset;
            scroller.scrollTop = 0;
            const before = bottom();
            await new Promise((done) => {
                const observer = new MutationObserver(() => { observer.disconnect(); done(); });
                observer.observe(log, { childList: true });
            });
            return Math.abs(bottom() - before);
        }"""
        assert await anna.evaluate(shift) < 1
        await expect(oldest).to_be_in_viewport()
        await anna.page.wait_for_function(
            """() => { scroller.scrollTop = 0;
                return document.querySelectorAll(".message").length === 120; }"""
        )
        assert await anna.texts() == [f"line {number}" for number in range(120)]
        assert "beginning" in await anna.page.locator("#log-start").inner_text()


async def test_keyboard_alone_is_enough(browser: Browser, gateway: Process, channel: str) -> None:
    async with open_window(browser, "Anna") as anna:
        keyboard = anna.page.keyboard
        await anna.page.goto(gateway.url)
        await keyboard.type("Anna")
        await keyboard.press("Tab")
        await keyboard.press("Control+A")
        await keyboard.type(channel)
        await keyboard.press("Enter")
        await anna.until_state("online")
        await keyboard.type("one")
        await keyboard.press("Shift+Enter")
        await keyboard.type("two")
        await keyboard.press("Enter")
        await anna.until_settled(1)
        assert await anna.texts() == ["one\ntwo"]

        await keyboard.press("ArrowUp")
        await keyboard.press("Control+A")
        await keyboard.type("three")
        await keyboard.press("Enter")
        await anna.message("three").wait_for()
        await keyboard.press("Shift+Tab")
        await keyboard.press("ArrowUp")
        await keyboard.press("Delete")
        await keyboard.press("Escape")
        assert len(await anna.texts()) == 1
        await keyboard.press("Delete")
        await keyboard.press("Tab")
        await keyboard.press("Enter")
        await anna.until_settled(0)

        await keyboard.press("Escape")
        await keyboard.press("Control+K")
        await keyboard.type(f"{channel}-other")
        await keyboard.press("Enter")
        await expect(anna.page).to_have_title(re.compile(f"#{channel}-other"))
        await keyboard.press("Alt+ArrowUp")
        await expect(anna.page).to_have_title(re.compile(f"#{channel} "))
        await expect(anna.field).to_be_focused()


async def test_reply_names_whom_it_answers_for_both(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await anna.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await anna.say("Shall we meet?", "something else")
        await ben.message("Shall we meet?").hover()
        await ben.message("Shall we meet?").get_by_role("button", name="Reply").click()
        await expect(ben.page.get_by_role("status")).to_contain_text(
            ["Reply to Anna: Shall we meet?"]
        )
        await expect(ben.field).to_be_focused()
        await ben.field.press_sequentially("At eight")
        await ben.field.press("Enter")
        reply = anna.message("At eight").locator(".parent")
        await expect(reply).to_have_text("In reply to Anna: Shall we meet?")
        await expect(ben.message("At eight").locator(".parent")).to_have_count(1)
        await expect(ben.page.locator("#reply")).to_be_hidden()

        question = anna.message("Shall we meet?").first
        await question.hover()
        await question.get_by_role("button", name="Delete").click()
        await anna.page.locator("#deletion").get_by_role("button", name="Delete").click()
        await expect(ben.message("At eight").locator(".parent")).to_have_text(
            "In reply to a deleted message"
        )


async def test_reply_by_keyboard_is_cancelled_by_escape_and_belongs_to_its_channel(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna:
        await anna.enter(gateway.url, channel)
        await anna.say("one")
        await anna.until_settled(1)
        banner = anna.page.locator("#reply")
        await anna.message("one").focus()
        await anna.page.keyboard.press("a")
        await expect(banner).to_be_visible()
        await anna.page.keyboard.press("Escape")
        await expect(banner).to_be_hidden()
        await anna.message("one").focus()
        await anna.page.keyboard.press("a")
        await anna.go_to(f"{channel}-other")
        await expect(banner).to_be_hidden()
        await anna.go_to(channel)
        await expect(banner).to_be_visible()
        await anna.page.get_by_role("button", name="Cancel the reply").click()
        await anna.say("two")
        await anna.until_settled(2)
        assert await anna.page.locator(".parent").count() == 0


async def test_edit_that_is_too_long_is_refused_before_it_is_lost(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna:
        await anna.enter(gateway.url, channel)
        await anna.say("short")
        await anna.until_settled(1)
        await anna.message("short").hover()
        await anna.message("short").get_by_role("button", name="Edit").click()
        editor = anna.page.get_by_label("Edit your message")
        for text, refusal in (("x" * 4001, "at most 4000"), ("x" * 70_000, "too long")):
            await editor.fill(text)
            await editor.press("Enter")
            await expect(anna.page.locator(".editor .error")).to_contain_text(refusal)
            assert await editor.input_value() == text
        await editor.fill("not so long")
        await editor.press("Enter")
        await anna.message("not so long").wait_for()


async def test_message_that_changes_while_it_is_edited_is_shown_as_it_is_when_that_ends(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Anna") as elsewhere:
        await anna.enter(gateway.url, channel)
        await elsewhere.enter(gateway.url, channel)
        await anna.say("one")
        await anna.until_settled(1)
        await anna.field.press("ArrowUp")
        await expect(anna.page.get_by_label("Edit your message")).to_be_focused()
        await elsewhere.message("one").wait_for()
        await elsewhere.field.press("ArrowUp")
        await elsewhere.page.get_by_label("Edit your message").fill("two")
        await elsewhere.page.keyboard.press("Enter")
        await elsewhere.message("two").wait_for()
        await elsewhere.say("after it")
        await anna.message("after it").wait_for()
        await anna.page.keyboard.press("Escape")
        await anna.message("two").wait_for()


async def test_click_goes_to_what_it_began_on_whatever_comes_meanwhile(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Carla") as carla, open_window(browser, "Ben") as ben:
        await carla.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await carla.page.get_by_role("button", name="Message Ben").hover()
        await carla.page.mouse.down()
        await ben.say("Hello")
        await carla.message("Hello").wait_for()
        await carla.page.mouse.up()
        await expect(carla.page.locator("#room-name")).to_have_text("@Ben")


async def test_name_that_turns_its_text_around_leaves_the_words_beside_it_as_they_are(
    browser: Browser, gateway: Process, channel: str
) -> None:
    name = "Eve\N{RIGHT-TO-LEFT OVERRIDE}"
    # Looked for anew at each look: a list that is drawn again takes its nodes out of the page.
    reads_forwards = """([selector, text]) => {
        const nodes = [...document.querySelectorAll(selector)];
        const node = nodes.find((it) => it.textContent.includes(text));
        if (!node) return false;
        const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
        while (!texts.nextNode().data.includes(text)) continue;
        const { currentNode } = texts;
        const start = currentNode.data.indexOf(text);
        const [first, last] = [start, start + text.length - 1].map((at) => {
            const range = new Range();
            range.setStart(currentNode, at);
            range.setEnd(currentNode, at + 1);
            return range.getBoundingClientRect().left;
        });
        return first < last;
    }"""
    # Nobody else mentions an Ada.
    async with open_window(browser, "Ada") as ada, open_window(browser, name) as eve:
        await ada.enter(gateway.url, channel)
        await eve.enter(gateway.url, channel)
        await expect(eve.page.get_by_role("button", name="Message Ada")).to_be_visible()
        await eve.field.press_sequentially("Hello")
        await ada.page.wait_for_function(reads_forwards, arg=["#typing", "is typing"])
        await eve.say("Hello @Ada!")
        await ada.message("Hello").hover()
        await ada.message("Hello").get_by_role("button", name="Reply").click()
        await ada.page.wait_for_function(reads_forwards, arg=["#reply-text", "Hello @"])
        await ada.say("Hello yourself")
        await ada.page.wait_for_function(reads_forwards, arg=[".parent", "Hello @"])
        await ada.page.locator("#bell").click()
        words = [".notification .words", "mentioned you in"]
        await ada.page.wait_for_function(reads_forwards, arg=words)
