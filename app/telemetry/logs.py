"""Structured logs: static event names with fields; ids only, never a message's content."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

import orjson

_LIBRARIES: Final = ("aiokafka", "faust", "mode", "aiohttp")

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {k: v for k, v in record.__dict__.items() if k not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `event`, then the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """The same for a person's eyes: `12:00:00 info web.transports.ws connected user=u1`."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = "".join(f" {key}={value}" for key, value in _fields(record).items())
        line = f"{time} {record.levelname.lower():7} {record.name} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Sparse(logging.Filter):
    """Lets each of a library's messages through once in ten seconds.

    aiokafka says the same several times a second for as long as Kafka is away.
    """

    _SECONDS: Final = 10.0

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message was not said lately; by its text without arguments."""
        if record.name.partition(".")[0] not in _LIBRARIES:
            return True
        key = (record.name, str(record.msg))
        is_news = record.created - self._said_at.get(key, 0.0) >= self._SECONDS
        if is_news:
            self._said_at[key] = record.created
        return is_news


def configure(*, level: str, form: str) -> None:
    """Send this process's logs to standard output, as `json` or `text`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(Sparse())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Drift of its timers, which a busy or frozen process has by nature.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)
