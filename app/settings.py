"""The settings: documented, validated at start, read in one place."""

import os
import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import SettingsError

PREFIX: Final = "HUBBUB_"
DEVELOPMENT_PREFIX: Final = "HUBBUB_DEV_"
"""Variables of the tools in `dev/`, which are no settings of a deployed process."""

ANY_ORIGIN: Final = "*"

Listed = Annotated[tuple[str, ...], NoDecode]
"""Text with commas between its parts."""

# As browsers serialize an origin: https://html.spec.whatwg.org/multipage/browsers.html#origin
_origin = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?P<port>:[0-9]{1,5})?"
)
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class Settings(BaseSettings):
    """What a process may be told by its environment. A secret prints as asterisks."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    kafka_brokers: Listed = Field(
        ("localhost:9092",),
        validation_alias="KAFKA_BROKERS",
        min_length=1,
        description="Kafka brokers to start from, host:port, separated by commas.",
    )
    kafka_client_id: str = Field(
        "discord-backend",
        validation_alias="KAFKA_CLIENT_ID",
        pattern=r"^[A-Za-z0-9_.-]{1,200}$",
        description="The name this deployment shows to Kafka.",
    )
    redis_host: str = Field(
        "localhost", validation_alias="REDIS_HOST", min_length=1, description="Redis' host."
    )
    redis_port: int = Field(
        6379, validation_alias="REDIS_PORT", ge=1, le=65535, description="Redis' port."
    )
    mongodb_uri: SecretStr = Field(
        SecretStr("mongodb://localhost:27017/hubbub?directConnection=true"),
        validation_alias="MONGODB_URI",
        description="MongoDB (a replica set) with the database's name; without one: hubbub.",
    )
    port: int = Field(
        5001,
        validation_alias="PORT",
        ge=1,
        le=65535,
        description="HTTP port: a gateway's API, a worker's health and metrics.",
    )
    host: str = Field(
        "0.0.0.0",  # noqa: S104 - a container's port is published by whoever runs it
        min_length=1,
        description="Address to listen on.",
    )
    env: Literal["development", "production"] = Field(
        "development",
        description="Chooses the defaults of partitions (4 or 12) and replication (1 or 3).",
    )
    partitions: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Partitions of a topic when it is made. A topic is never repartitioned.",
    )
    replication: int | None = Field(
        None, ge=1, le=9, description="Replicas of a topic when it is made."
    )
    retention_hours: int = Field(
        168, ge=1, description="How long Kafka keeps a record of the four topics."
    )
    dead_letter_retention_hours: int = Field(
        720, ge=1, description="How long Kafka keeps a dead letter."
    )
    instance: str | None = Field(
        None,
        validation_alias=AliasChoices("HUBBUB_INSTANCE", "DYNO"),
        pattern=r"^[A-Za-z0-9_.-]{1,100}$",
        description=(
            "Stable name of this process's slot (messages.1): static membership in its consumer "
            "group. Unset: DYNO; without that, dynamic membership."
        ),
    )
    session_timeout_seconds: float = Field(
        15, ge=1, le=300, description="A silent worker loses its partitions after this time."
    )
    start_timeout_seconds: float = Field(
        60, gt=0, description="How long a start waits for Kafka, Redis and MongoDB."
    )
    reconnect_spread_ms: int = Field(
        5000,
        ge=0,
        le=60_000,
        description="A stopping gateway's clients come back after a random delay up to this.",
    )
    allowed_origins: Listed = Field(
        (),
        description=(
            "Other sites whose pages may use a gateway: https://chat.example, separated by commas, "
            "or * for all."
        ),
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="One JSON object a line, or text for a person's eyes."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The lowest level that is logged."
    )

    @field_validator("kafka_brokers", mode="before")
    @classmethod
    def _split_brokers(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        brokers = _split(value)
        for broker in brokers:
            host, _, port = broker.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError(f"{broker!r} is not host:port")
        return brokers

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        origins = _split(value)
        for origin in origins:
            if origin == ANY_ORIGIN:
                if len(origins) > 1:
                    raise ValueError("* stands for all, and alone")
            elif not _is_origin(origin):
                raise ValueError(
                    f"{origin!r} is no origin as browsers send it: https://chat.example, in small "
                    "letters, without a path, a port only where it is not the scheme's own"
                )
        return origins

    @field_validator("mongodb_uri")
    @classmethod
    def _check_mongodb_uri(cls, value: SecretStr) -> SecretStr:
        if urlsplit(value.get_secret_value()).scheme not in ("mongodb", "mongodb+srv"):
            raise ValueError("must begin with mongodb:// or mongodb+srv://")
        return value

    @property
    def topic_partitions(self) -> int:
        """Partitions of a new topic: 4 in development, else 12, unless given."""
        return self.partitions or (4 if self.env == "development" else 12)

    @property
    def topic_replication(self) -> int:
        """Replicas of a new topic: 1 in development, else 3, unless given."""
        return self.replication or (1 if self.env == "development" else 3)


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _is_origin(text: str) -> bool:
    match = _origin.fullmatch(text)
    return match is not None and match["port"] != _DEFAULT_PORTS.get(match["scheme"], "")


def variable_of(field: str) -> str:
    """Return the name of the environment variable that sets `field`."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


def load() -> Settings:
    """Read the settings from the process's environment.

    Raises:
        SettingsError: a value is wrong, or a variable with our prefix is unknown (a misspelt
            setting would else be ignored); one line that names the variable.
    """
    known = {variable_of(field) for field in Settings.model_fields}
    for name in sorted(os.environ):
        # Pydantic takes a variable whatever the case of its name.
        spelled = name.upper()
        ours = spelled.startswith(PREFIX) and not spelled.startswith(DEVELOPMENT_PREFIX)
        if ours and spelled not in known:
            raise SettingsError(f"{name} is no setting; .env.example lists them all")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        variable = variable_of(name) if name in Settings.model_fields else name
        raise SettingsError(f"{variable}: {first['msg']}") from None


def example() -> str:
    """Return the text of `.env.example`: every setting, its description and its default."""
    lines = [
        "# Every setting, with its default. Copy to .env and change what differs.",
        f"# A misspelt {PREFIX}* stops the start; a misspelt other one cannot be told from what",
        "# belongs to other programs.",
    ]
    for field, info in Settings.model_fields.items():
        value = info.default
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if isinstance(value, tuple):
            value = ",".join(value)
        shown = f"{variable_of(field)}={'' if value is None else value}"
        lines += ["", f"# {info.description}", f"# {shown}" if value is None else shown]
    return "\n".join(lines) + "\n"
