"""A skip is legal on a laptop and a failure in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.processes import ROOT

CONFTEST = ROOT / "tests" / "conftest.py"


def run_with_a_skip(folder: Path, *, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_two.py").write_text(
        "import pytest\n"
        "def test_that_passes_passes(): assert True\n"
        "@pytest.mark.skip\n"
        "def test_that_is_skipped_is_skipped(): assert True\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)],
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skip_decides_the_exit_status_in_ci_alone(tmp_path: Path, ci: str, status: int) -> None:
    done = run_with_a_skip(tmp_path, ci=ci)
    assert done.returncode == status
    assert "1 passed, 1 skipped" in done.stdout.splitlines()[-1]
    assert ("skipped tests are failures in CI: 1" in done.stdout) is bool(status)
