"""Locks between processes."""

import os
from pathlib import Path

import pytest

from dev.errors import DevError
from dev.locks import hold_alone


def test_a_lock_that_is_held_is_refused_with_its_holder(tmp_path: Path) -> None:
    with (
        hold_alone(tmp_path / "run.lock", "Hubbub runs"),
        pytest.raises(DevError, match=f"^Hubbub runs already, as process {os.getpid()}: stop it"),
        hold_alone(tmp_path / "run.lock", "Hubbub runs"),
    ):
        pass


def test_a_lock_is_free_after_its_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with hold_alone(tmp_path / "run.lock", "Hubbub runs"):
            assert (tmp_path / "run.lock").read_text() == str(os.getpid())
