"""The server programs: the system's own, else fetched, else one line that says what to do."""

import re
from pathlib import Path

import pytest

from dev import tools
from dev.errors import ToolError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HUBBUB_DEV_HOME", str(tmp_path / "home"))
    return folder


def put(folder: Path, name: str, body: str) -> Path:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)
    return folder / name


def test_a_program_of_the_system_is_used_as_it_is(programs: Path) -> None:
    program = put(programs, "mongod", "")
    assert tools.mongod() == program


def test_our_own_redis_cli_on_path_is_not_taken_for_the_systems(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = put(programs, "redis-cli", "")
    monkeypatch.setenv("PATH", f"{ROOT / 'dev' / 'bin'}:{programs}")
    assert tools.redis_cli() == program


def test_a_java_that_is_too_old_is_refused(programs: Path) -> None:
    put(programs, "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    with pytest.raises(ToolError, match="needs Java 17"):
        tools.java()


def test_a_java_that_is_missing_is_installed(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = put(programs, "java-17", "echo 'openjdk version \"17.0.15\"' >&2")
    installs = f"/bin/cp {java} {programs}/java; echo $@ > {programs}/calls"
    monkeypatch.setattr(tools, "_PACKAGES", put(programs, "packages", installs))
    assert tools.java() == str(programs / "java")
    assert (programs / "calls").read_text() == "openjdk-17-jre-headless\n"


def test_a_java_that_is_missing_and_cannot_be_installed_is_named(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "_PACKAGES", put(programs, "packages", "exit 1"))
    with pytest.raises(ToolError, match="missing: openjdk-17-jre-headless"):
        tools.java()


def test_a_newer_java_is_used(programs: Path) -> None:
    program = put(programs, "java", "echo 'openjdk version \"21\" 2023-09-19' >&2")
    assert tools.java() == str(program)


def test_a_chromium_that_is_missing_is_installed(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = put(programs, "installed", "")
    installs = f"/bin/cp {program} {programs}/chromium; echo $@ > {programs}/calls"
    monkeypatch.setattr(tools, "_PACKAGES", put(programs, "packages", installs))
    assert tools.chromium() == str(programs / "chromium")
    assert (programs / "calls").read_text() == "chromium\n"


def test_a_fetch_that_fails_is_told_in_one_line_and_leaves_nothing(
    programs: Path, tmp_path: Path
) -> None:
    put(programs, "mvn", "echo '[INFO] on the way'; echo '[ERROR] no network'; exit 1")
    with pytest.raises(ToolError, match=r"^kafka cannot be fetched: \[ERROR\] no network$"):
        tools.kafka_classpath()
    assert not (tmp_path / "home" / "tools" / "kafka").exists()


def test_a_fetch_that_takes_long_says_how_much_is_there(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tools, "_PROGRESS_SECONDS", 0)
    line = "[INFO] Downloaded from central: kafka.jar (11 MB at 17 MB/s)"
    put(programs, "mvn", f"echo '{line}'; echo '{line}'; /bin/sleep 0.4")
    tools.kafka_classpath()
    assert re.search(r"kafka: 22 MB after \d+ s", capsys.readouterr().err)


def test_a_tool_is_fetched_once(programs: Path) -> None:
    put(programs, "mvn", f"echo fetched >> {programs}/calls")
    assert tools.kafka_classpath() == tools.kafka_classpath()
    assert (programs / "calls").read_text() == "fetched\n"
