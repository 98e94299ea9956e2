"""The settings: each documented, each checked, none printed that is a secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings, example, load, variable_of
from app.topics import MESSAGES
from tests.support.flavours import Ours

ROOT = Path(__file__).parents[3]
SECRET = "mongodb://chat:hunter2@db.internal:27017/chat"
PLAIN = ("KAFKA_BROKERS", "KAFKA_CLIENT_ID", "REDIS_HOST", "REDIS_PORT", "MONGODB_URI", "PORT")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in (*PLAIN, "DYNO") or name.startswith("HUBBUB_"):
            monkeypatch.delenv(name)


def test_env_example_is_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "app", "settings"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (ROOT / ".env.example").read_text() == printed


def test_command_whose_reader_has_seen_enough_ends_in_silence() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "app", "settings"]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_every_setting_is_described_under_its_own_variable() -> None:
    lines = example().splitlines()
    for field, info in Settings.model_fields.items():
        variable = variable_of(field)
        assert variable in PLAIN or variable.startswith("HUBBUB_")
        [at] = [i for i, line in enumerate(lines) if line.removeprefix("# ").startswith(variable)]
        assert info.description
        assert lines[at - 1] == f"# {info.description}"


def test_values_of_the_example_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in example().splitlines():
        if line and not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    assert load() == Settings.model_validate({})


def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "KAFKA_BROKERS": ("one:9092, two:9093", ("one:9092", "two:9093")),
        "KAFKA_CLIENT_ID": ("chat", "chat"),
        "REDIS_HOST": ("cache.internal", "cache.internal"),
        "REDIS_PORT": ("6380", 6380),
        "PORT": ("8080", 8080),
        "HUBBUB_HOST": ("127.0.0.1", "127.0.0.1"),
        "HUBBUB_ENV": ("production", "production"),
        "HUBBUB_PARTITIONS": ("24", 24),
        "HUBBUB_REPLICATION": ("2", 2),
        "HUBBUB_RETENTION_HOURS": ("24", 24),
        "HUBBUB_DEAD_LETTER_RETENTION_HOURS": ("48", 48),
        "HUBBUB_INSTANCE": ("messages.1", "messages.1"),
        "HUBBUB_SESSION_TIMEOUT_SECONDS": ("30", 30.0),
        "HUBBUB_START_TIMEOUT_SECONDS": ("10", 10.0),
        "HUBBUB_RECONNECT_SPREAD_MS": ("1000", 1000),
        "HUBBUB_ALLOWED_ORIGINS": (
            "https://chat.example, http://localhost:3000,capacitor://localhost,http://[::1]:8080",
            (
                "https://chat.example",
                "http://localhost:3000",
                "capacitor://localhost",
                "http://[::1]:8080",
            ),
        ),
        "HUBBUB_LOG_FORMAT": ("text", "text"),
        "HUBBUB_LOG_LEVEL": ("debug", "debug"),
    }
    for variable, (text, _) in told.items():
        monkeypatch.setenv(variable, text)
    monkeypatch.setenv("MONGODB_URI", SECRET)
    settings = load()
    assert settings.mongodb_uri.get_secret_value() == SECRET
    fields = {variable_of(field): field for field in Settings.model_fields}
    for variable, (_, value) in told.items():
        assert getattr(settings, fields[variable]) == value, variable
    assert fields.keys() - told.keys() == {"MONGODB_URI"}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("KAFKA_BROKERS", ""),
        ("KAFKA_BROKERS", "localhost"),
        ("KAFKA_BROKERS", "one:9092,two:port"),
        ("KAFKA_CLIENT_ID", "two words"),
        ("REDIS_HOST", ""),
        ("REDIS_PORT", "70000"),
        ("REDIS_PORT", "six"),
        ("MONGODB_URI", "postgres://localhost/hubbub"),
        ("PORT", "0"),
        ("HUBBUB_ENV", "staging"),
        ("HUBBUB_PARTITIONS", "0"),
        ("HUBBUB_REPLICATION", "ten"),
        ("HUBBUB_RETENTION_HOURS", "0"),
        ("HUBBUB_INSTANCE", "a slot"),
        ("HUBBUB_SESSION_TIMEOUT_SECONDS", "0.5"),
        ("HUBBUB_START_TIMEOUT_SECONDS", "0"),
        ("HUBBUB_RECONNECT_SPREAD_MS", "-1"),
        ("HUBBUB_ALLOWED_ORIGINS", "chat.example"),
        ("HUBBUB_ALLOWED_ORIGINS", "https://chat.example/"),
        ("HUBBUB_ALLOWED_ORIGINS", "https://Chat.example"),
        ("HUBBUB_ALLOWED_ORIGINS", "https://chat.example:443"),
        ("HUBBUB_ALLOWED_ORIGINS", "https://*.example"),
        ("HUBBUB_ALLOWED_ORIGINS", "*,https://chat.example"),
        ("HUBBUB_ALLOWED_ORIGINS", "null"),
        ("HUBBUB_LOG_FORMAT", "xml"),
        ("HUBBUB_LOG_LEVEL", "loud"),
    ],
)
def test_bad_setting_when_loaded_is_one_line_that_names_its_variable(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError) as raised:
        load()
    line = str(raised.value)
    assert line.startswith(f"{variable}: ")
    assert "\n" not in line


@pytest.mark.parametrize("name", ["HUBBUB_PARTITION", "hubbub_partition"])
def test_unknown_variable_of_ours_is_refused_by_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "24")
    with pytest.raises(SettingsError, match=f"^{name} is no setting"):
        load()


def test_variable_of_the_tools_in_dev_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBBUB_DEV_HOME", "/somewhere")
    assert load() == Settings.model_validate({})


def test_stray_plain_variables_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Faust itself would take over what it is told.
    monkeypatch.setenv("WEB_PORT", "7777")
    monkeypatch.setenv("APP_STORE", "memory://")
    settings = load()
    assert settings == Settings.model_validate({})
    conf = Ours.create(MESSAGES, settings).conf
    assert conf.web_port != 7777
    assert str(conf.store) == "redis://localhost:6379/0"


@pytest.mark.parametrize(
    ("env", "partitions", "replication"), [("development", 4, 1), ("production", 12, 3)]
)
def test_environment_chooses_partitions_and_replication(
    env: str, partitions: int, replication: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBBUB_ENV", env)
    settings = load()
    assert (settings.topic_partitions, settings.topic_replication) == (partitions, replication)


def test_instance_when_unset_is_the_dyno(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().instance is None
    monkeypatch.setenv("DYNO", "messages.3")
    assert load().instance == "messages.3"
    monkeypatch.setenv("HUBBUB_INSTANCE", "messages.1")
    assert load().instance == "messages.1"


def test_any_origin_may_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBBUB_ALLOWED_ORIGINS", "*")
    assert load().allowed_origins == ("*",)


def test_secret_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", SECRET)
    settings = load()
    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert "hunter2" not in shown
    monkeypatch.setenv("MONGODB_URI", SECRET.replace("mongodb://", "http://"))
    with pytest.raises(SettingsError) as raised:
        load()
    assert "hunter2" not in str(raised.value)
    assert raised.value.__suppress_context__
