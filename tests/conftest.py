"""How the whole suite is run: which tests go together, what they share, and what fails it."""

import os
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from dev.servers import Kafka

PAGE: Final = "tests/browser"
LONG: Final = (
    "tests/chaos/",
    "tests/integration/test_streaming_",
    "tests/integration/test_commands",
    "tests/integration/test_presence",
    "tests/integration/test_re",
    "tests/integration/",
    PAGE,
    "tests/regression/",
)
"""What takes long, the longest first, so that none of the processes that share the tests is left
alone with it. The servers of the page's tests stay up until the end: they come late."""


# How long an example takes tells how busy the machine is, and nothing else.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


class Files(LoadFileScheduling):
    """Gives files to the processes that share the tests, in their order; those of the page, which
    share servers and a browser, as if they were one."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return PAGE if nodeid.startswith(f"{PAGE}/") else super()._split_scope(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order."""
    items.sort(key=lambda item: _place_of(item.nodeid))


def _place_of(nodeid: str) -> int:
    return next((place for place, of in enumerate(LONG) if nodeid.startswith(of)), len(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Files | None:
    """Share out files, where `--dist loadfile` asks for it."""
    return Files(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker for all tests that do nothing to it."""
    with Kafka(tmp_path_factory.mktemp("kafka"), fast_start=True) as server:
        yield server


# In CI a skipped test is a failure: what was not run shows nothing.


def _count_skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return 0
    return len(reporter.stats.get("skipped", []))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and _count_skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if skipped := _count_skipped(config):
        terminalreporter.write_line(f"skipped tests are failures in CI: {skipped}", red=True)
