"""What the Procfile asks for: each process with its name, command and port."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from honcho.environ import parse_procfile

from dev.errors import PlanError

RELEASE: Final = "release"
GATEWAY: Final = "web"
DEFAULT_PORT: Final = 5001
PORTS_PER_TYPE: Final = 100
"""Gateways have 5001, 5002, …; each further type, in the Procfile's order, the next hundred."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one process: `name` is its type and number (`web.1`), stable over restarts."""

    name: str
    command: str
    port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs: what must succeed first, if there is one, and the processes."""

    release: Slot | None
    slots: tuple[Slot, ...]


def parse_counts(words: Iterable[str]) -> dict[str, int]:
    """Read `web=2 messages=2`.

    Raises:
        PlanError: a word is not a process type with a count.
    """
    counts = {}
    for word in words:
        match = re.fullmatch(r"([A-Za-z0-9_-]+)=(\d{1,2})", word)
        if match is None:
            raise PlanError(f"{word!r} is no count: write it as web=2, from 0 to 99")
        counts[match[1]] = int(match[2])
    return counts


def make_plan(
    procfile: str, counts: Mapping[str, int] | None = None, *, first_port: int = DEFAULT_PORT
) -> Plan:
    """Lay out the processes of a Procfile's text, one of each type unless `counts` says more.

    Raises:
        PlanError: a type is there twice, or a count is of a type that is not there.
    """
    try:
        commands: dict[str, str] = dict(parse_procfile(procfile).processes)
    except AssertionError as error:  # So honcho says it.
        raise PlanError(f"Procfile: {error}") from None
    command = commands.pop(RELEASE, None)
    # It listens nowhere, and is over before a gateway listens there.
    release = Slot(f"{RELEASE}.1", command, first_port) if command else None
    counts = counts or {}
    for name in counts:
        if name not in commands:
            raise PlanError(f"no process type {name!r}; the Procfile has {', '.join(commands)}")
    # The gateway's port is the one people know: it does not depend on the order of lines.
    types = sorted(commands, key=lambda name: name != GATEWAY)
    slots = tuple(
        Slot(f"{name}.{number}", commands[name], first_port + place * PORTS_PER_TYPE + number - 1)
        for place, name in enumerate(types)
        for number in range(1, counts.get(name, 1) + 1)
    )
    return Plan(release, slots)
