"""The JavaScript client after any events shows what a fresh one shows, as the reference does."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from playwright.async_api import Browser

from app.archive.indexes import ensure_indexes
from app.clients import open_mongodb, open_redis
from app.settings import Settings
from dev.processes import Process
from tests.support.stack import Stack
from tests.support.transcripts import Step, play, stories
from tests.support.windows import open_window
from tests.support.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

CASES: Final = 30
PLAYER: Final = (Path(__file__).parents[1] / "support" / "page_player.js").read_text()
PLAY: Final = f"async (cases) => {{ {PLAYER}\nreturn play(cases); }}"

Told = tuple[Sequence[Step], int, int]


def tell_stories() -> list[Told]:
    """Stories by the dozen, as hypothesis makes them."""
    told: list[Told] = []

    @settings(
        max_examples=CASES,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(stories, st.integers(0, 30), st.sampled_from([0, 1, 3, 10, 30]))
    def note(story: Sequence[Step], before: int, delay: int) -> None:
        told.append((story, before, delay))

    note()
    return told


async def test_client_after_any_events_shows_what_a_fresh_one_shows(
    browser: Browser, stack: Stack, gateway: Process
) -> None:
    names = ("REDIS_HOST", "REDIS_PORT", "MONGODB_URI")
    environment = {name: stack.environment[name] for name in names}
    # Its own database: the stack's reconciler would take part.
    environment["MONGODB_URI"] = environment["MONGODB_URI"].replace("/hubbub?", "/worlds?")
    chosen = Settings.model_validate(environment)
    redis, database = open_redis(chosen), open_mongodb(chosen)
    await ensure_indexes(database)
    cases, wanted = [], []
    told = await asyncio.to_thread(tell_stories)
    for story, before, delay in told:
        world = World(database, redis)
        transcript, fresh, user = await play(world, story, before)
        await world.end()
        case = {"transcript": transcript, "user": user, "delay": delay}
        cases.append({**case, "channels": world.channels})
        wanted.append(fresh)
    async with open_window(browser, "Anna") as anna:
        await anna.page.goto(gateway.url)
        shown = await anna.page.evaluate(PLAY, cases)
    await redis.aclose()
    database.client.close()
    for tale, found, fresh in zip(told, shown, wanted, strict=True):
        assert found == _cut_to(fresh, found), tale


def _cut_to(fresh: Any, shown: Any) -> Any:
    """What is to be shown of the channels that the client follows: it leaves with its membership.

    Counts are a member's: of other channels it shows its own.
    """
    followed = shown["messages"].keys()
    cut = {part: {c: fresh[part][c] for c in followed} for part in ("messages", "active")}
    unread = {c: fresh["unread"].get(c, shown["unread"][c]) for c in followed}
    return {**fresh, **cut, "unread": unread}
