"""When a load begins: not before what its joins have brought about is over."""

import asyncio
import itertools
import time
from collections.abc import Iterable

import pytest

from bench.load import modes
from bench.load.modes import Load, Spec


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.setattr(modes, "_LOOK_SECONDS", 0.01)
    return Load(Spec("closed", "hubbub", 1, "run", posters=0))


def feed_cpu_seconds(monkeypatch: pytest.MonkeyPatch, readings: Iterable[float]) -> None:
    left = iter(readings)
    monkeypatch.setattr(modes, "read_cpu_seconds", lambda _: {"web.1": next(left)})


async def test_rest_when_processes_are_busy_lasts_until_they_are_not(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before and after each look: busy for all of the first, nearly idle in the second.
    readings = iter((1.0, 1.01, 1.01, 1.012))
    feed_cpu_seconds(monkeypatch, readings)
    await load._rest()
    assert next(readings, None) is None


async def test_rest_when_processes_stay_busy_ends_nevertheless(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "REST_SECONDS", 0.05)
    feed_cpu_seconds(monkeypatch, itertools.count())
    began = time.perf_counter()
    async with asyncio.timeout(30):
        await load._rest()
    assert time.perf_counter() - began >= 0.05
