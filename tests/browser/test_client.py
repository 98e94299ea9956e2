"""The JavaScript client's own rules, run where it runs."""

import random
from typing import Any, Final

import pytest
from playwright.async_api import Browser

from dev.processes import Process
from tests.support.windows import open_window

pytestmark = pytest.mark.asyncio(loop_scope="session")

CASES: Final = 300

APPLY: Final = """async (cases) => {
    const { Timeline } = await import("/assets/client/timeline.js");
    return cases.map(({ steps }) => {
        const timeline = new Timeline();
        let run = 0;
        for (const { kind, message, page } of steps) {
            if (kind === "event") timeline.apply(message);
            else if (kind === "begin") run = timeline.beginReload();
            else if (kind === "finish") timeline.finishReload(run, page);
            else timeline.addOlder(run, page);
        }
        return timeline.messages.map(({ id, rev }) => [id, rev]);
    });
}"""


def message(number: int, rev: int, *, is_deleted: bool) -> dict[str, Any]:
    tombstone = {"deleted": True} if is_deleted else {}
    return {"id": f"m{number}", "number": number, "rev": rev, **tombstone}


def case(seed: int) -> tuple[dict[str, Any], list[list[Any]]]:
    """A channel's life as a client may see it, and what a fresh client shows at its end.

    Two pages read in the middle of it, with each message as it then is; every event that they
    do not show yet, and some that they do, before, between and after them, in any order.
    """
    rng = random.Random(seed)
    versions = {}
    for number in range(1, rng.randint(2, 12)):
        last, is_deleted = rng.randint(1, 4), rng.random() < 0.3
        versions[number] = [
            message(number, rev, is_deleted=is_deleted and rev == last)
            for rev in range(1, last + 1)
        ]
    read = {number: rng.choice(changes) for number, changes in versions.items()}
    shown = [read[number] for number in sorted(read, reverse=True) if "deleted" not in read[number]]
    at = rng.randint(0, len(shown))
    steps = [
        {"kind": "begin"},
        {"kind": "finish", "page": {"items": shown[:at], "next": "0"}},
        {"kind": "older", "page": {"items": shown[at:], "next": None}},
    ]
    events = [
        change
        for number, changes in versions.items()
        for change in changes
        if change["rev"] > read[number]["rev"] or "deleted" in change or rng.random() < 0.3
    ]
    rng.shuffle(events)
    # What came before the reload began may be stale in every way; its end state is read anew.
    for event in events:
        steps.insert(rng.randint(1, len(steps)), {"kind": "event", "message": event})
    fresh = [
        [changes[-1]["id"], changes[-1]["rev"]]
        for _, changes in sorted(versions.items())
        if "deleted" not in changes[-1]
    ]
    return {"steps": steps}, fresh


async def test_events_and_pages_in_any_order_show_what_a_fresh_client_shows(
    browser: Browser, gateway: Process
) -> None:
    cases, fresh = zip(*(case(seed) for seed in range(CASES)), strict=True)
    async with open_window(browser, "Anna") as anna:
        await anna.page.goto(gateway.url)
        shown = await anna.page.evaluate(APPLY, list(cases))
    for seed in range(CASES):
        assert shown[seed] == fresh[seed], f"seed {seed}: {cases[seed]}"


async def test_reload_drops_what_is_gone_and_keeps_what_came_meanwhile(
    browser: Browser, gateway: Process
) -> None:
    steps = [
        {"kind": "begin"},
        {"kind": "finish", "page": {"items": [message(3, 1, is_deleted=False),
                                              message(2, 1, is_deleted=False)], "next": None}},
        {"kind": "begin"},
        {"kind": "event", "message": message(5, 1, is_deleted=False)},
        {"kind": "finish", "page": {"items": [message(4, 1, is_deleted=False),
                                              message(2, 5, is_deleted=False)], "next": "2"}},
    ]  # fmt: skip
    async with open_window(browser, "Anna") as anna:
        await anna.page.goto(gateway.url)
        [shown] = await anna.page.evaluate(APPLY, [{"steps": steps}])
    assert shown == [["m2", 5], ["m4", 1], ["m5", 1]]


async def test_what_counts_as_read_since_nothing_was_said_gives_way_to_what_is_said(
    browser: Browser, gateway: Process
) -> None:
    said = {"read": 1, "number": 2, "mentions": 1}
    count = """async (said) => {
        const { Channel } = await import("/assets/client/channel.js");
        const channel = new Channel("c");
        channel.see(2);
        channel.markSeen();
        const counts = () => [channel.read, channel.unread, channel.mentions];
        const before = counts();
        channel.markRead(said);
        channel.markSeen();
        return [before, counts()];
    }"""
    async with open_window(browser, "Anna") as anna:
        await anna.page.goto(gateway.url)
        assert await anna.page.evaluate(count, said) == [[2, 0, 0], [1, 1, 1]]
