"""The lock files, as a pip of any age reads them."""

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
_pin = re.compile(r"^([A-Za-z0-9._-]+)(?:\[([a-z0-9,_-]+)\])?==", re.MULTILINE)


def pins_of(lock: str) -> dict[str, set[str]]:
    """The extras that each package is locked with, by its name."""
    found = _pin.findall((ROOT / lock).read_text())
    return {canonicalize_name(name): set(filter(None, extras.split(","))) for name, extras in found}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_package_that_another_needs_with_an_extra_is_locked_with_it(lock: str) -> None:
    """Else pip 23.0 looks for the newest that has the extra, and refuses it for want of a hash."""
    pins = pins_of(lock)
    assert pins
    for package in distributions():
        extras = pins.get(canonicalize_name(package.name))
        if extras is None:
            continue
        for needed in map(Requirement, package.requires or ()):
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": each}) for each in ("", *extras)):
                assert needed.extras <= pins[canonicalize_name(needed.name)], package.name
