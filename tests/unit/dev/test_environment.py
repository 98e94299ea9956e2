"""What `python -m dev run` tells its processes."""

import sys
from pathlib import Path

import pytest

from dev.run import read_environment


def test_the_environment_goes_over_the_env_file_and_that_over_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PORT", "7000")
    monkeypatch.delenv("HUBBUB_LOG_FORMAT", raising=False)
    (tmp_path / ".env").write_text(
        "# ours\nREDIS_PORT=8000\nREDIS_HOST=one\n\nKAFKA_BROKERS=a:1,b:2\n"
    )
    environment = read_environment(tmp_path)
    assert environment["REDIS_PORT"] == "7000"
    assert environment["REDIS_HOST"] == "one"
    assert environment["KAFKA_BROKERS"] == "a:1,b:2"
    assert environment["HUBBUB_LOG_FORMAT"] == "text"


def test_a_copy_of_the_example_is_read_as_it_stands(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / ".env.example"
    (tmp_path / ".env").write_text(example.read_text())
    environment = read_environment(tmp_path)
    assert environment["MONGODB_URI"].endswith("/hubbub?directConnection=true")
    assert environment["HUBBUB_HOST"]


def test_python_is_our_own(tmp_path: Path) -> None:
    first = read_environment(tmp_path)["PATH"].split(":", maxsplit=1)[0]
    assert first == str(Path(sys.executable).parent)
