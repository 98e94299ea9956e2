"""Who is here, who types, reactions, mentions, notifications, and what is unread."""

import pytest
from playwright.async_api import Browser, expect

from dev.processes import Process
from tests.support.windows import open_window

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_is_here_and_who_types_is_seen_and_ends(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna:
        await anna.enter(gateway.url, channel)
        people = anna.page.locator("#people-list li")
        async with open_window(browser, "Ben") as ben:
            await ben.enter(gateway.url, f"{channel}-other")
            await ben.go_to(channel)
            await expect(people).to_contain_text(["Anna", "Ben"])
            await expect(ben.page.locator("#people-list li")).to_contain_text(["Ben", "Anna"])
            await ben.field.press_sequentially("H")
            typing = anna.page.locator("#typing")
            await expect(typing).to_have_text("Ben is typing…")
            await ben.say("Hello")
            await expect(typing).to_have_text("")
            await ben.page.get_by_role("button", name=f"Leave {channel}").click()
            await expect(people).to_have_count(1)


async def test_reaction_is_counted_for_both_and_taken_back_by_another_click(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await anna.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await anna.say("Shall we?")
        await ben.message("Shall we?").hover()
        await ben.message("Shall we?").get_by_role("button", name="Add a reaction").click()
        await ben.page.get_by_role("button", name="thumbs up").click()
        seen = anna.message("Shall we?").get_by_role("button", name="👍, 1: Ben")
        await expect(seen).to_have_attribute("aria-pressed", "false")
        await seen.click()
        own = anna.message("Shall we?").get_by_role("button", name="👍, 2")
        await expect(own).to_have_attribute("aria-pressed", "true")
        await own.click()
        await expect(
            ben.message("Shall we?").get_by_role("button", name="👍, 1: you")
        ).to_be_visible()


async def test_mention_rings_the_bell_and_unread_goes_when_it_is_read(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Anna") as anna, open_window(browser, "Ben") as ben:
        await anna.enter(gateway.url, channel)
        await ben.enter(gateway.url, channel)
        await anna.say("hello")
        await ben.message("hello").wait_for()
        # Elsewhere, so that what comes is unread.
        await anna.go_to(f"{channel}-other")
        await ben.field.press_sequentially("@an")
        await expect(ben.page.get_by_role("option", name="Anna")).to_be_visible()
        await ben.field.press("Enter")
        await ben.field.press_sequentially("look at this")
        await ben.field.press("Enter")
        await ben.say("and this")

        listed = anna.page.locator(f"[data-channel={channel}]")
        await expect(listed).to_have_accessible_name(f"{channel}, 2 unread, 1 mention")
        bell = anna.page.locator("#bell")
        await expect(bell).to_have_accessible_name("Notifications, 1 unread")
        await bell.click()
        await anna.page.get_by_role("button", name=f"Ben mentioned you in #{channel}").click()
        await expect(anna.message("@Anna look at this").locator(".of-me")).to_be_visible()
        await expect(bell).to_have_accessible_name("Notifications, 0 unread")
        await expect(listed).to_have_accessible_name(channel)
        await anna.page.reload()
        await anna.until_state("online")
        await expect(listed).to_have_accessible_name(channel)
        await expect(bell).to_have_accessible_name("Notifications, 0 unread")


async def test_direct_talk_is_begun_by_a_name_and_appears_for_the_other(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Carla") as carla, open_window(browser, "Dan") as dan:
        await carla.enter(gateway.url, channel)
        await dan.enter(gateway.url, channel)
        await carla.page.get_by_role("button", name="Message Dan").click()
        await expect(carla.page.locator("#room-name")).to_have_text("@Dan")
        await carla.say("between us")
        listed = dan.page.get_by_role("navigation").get_by_role("button", name="Carla, 1 unread")
        await listed.click()
        await dan.message("between us").wait_for()
        await expect(dan.page.locator("#room-name")).to_have_text("@Carla")


async def test_mention_in_front_of_ones_eyes_leaves_the_bell_silent(
    browser: Browser, gateway: Process, channel: str
) -> None:
    async with open_window(browser, "Carla") as carla, open_window(browser, "Dan") as dan:
        await carla.enter(gateway.url, channel)
        await dan.enter(gateway.url, channel)
        # Who is not known to be here is not mentioned.
        await expect(carla.page.get_by_role("button", name="Message Dan")).to_be_visible()
        await carla.say("@Dan hello")
        await dan.message("@Dan hello").wait_for()
        await expect(dan.page.locator("#notification-list li")).to_contain_text(["mentioned you"])
        await expect(dan.page.locator("#bell")).to_have_accessible_name("Notifications, 0 unread")
