"""One stack and one Chromium for all tests of the page; each test has a channel of its own."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from dev.processes import Process
from tests.support.stack import Stack, running_stack
from tests.support.windows import running_browser


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("browser")) as stack:
        yield stack


@pytest.fixture(scope="session")
def gateway(stack: Stack) -> Process:
    kinds = ("messages.1", "activity.1", "reactions.1", "notifications.1")
    return stack.start("web.1", *kinds)[0]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as browser:
        yield browser


@pytest.fixture
def channel() -> str:
    return f"c-{uuid.uuid4().hex[:8]}"
