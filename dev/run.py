"""`python -m dev run`: the servers, then every process of the Procfile, until Ctrl-C."""

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from honcho.environ import parse

from dev.console import Console
from dev.errors import PlanError
from dev.locks import hold_alone
from dev.ports import is_taken
from dev.processes import ROOT, get_status, with_own_python
from dev.procfile import DEFAULT_PORT, GATEWAY, Plan, Slot, make_plan, parse_counts
from dev.stack import servers_running
from dev.supervisor import Supervisor, stop_on_signals
from dev.tools import home

READY_SECONDS: Final = 60.0
_DEFAULTS: Final = {"HUBBUB_LOG_FORMAT": "text", "PYTHONUNBUFFERED": "1"}
_MESSAGE: Final = (
    '{"content":"Hello World","channelId":"channel123","senderId":"user456","senderName":"John"}'
)
_CURL: Final = (
    "curl -X POST http://localhost:%d/api/messages "
    f"-H \"Content-Type: application/json\" -d '{_MESSAGE}'"
)


def read_environment(root: Path = ROOT) -> dict[str, str]:
    """Return what processes are told: this environment, over `.env`, over dev's defaults."""
    file = root / ".env"
    settings = parse(file.read_text()) if file.is_file() else {}
    return with_own_python({**_DEFAULTS, **settings, **os.environ})


def run(words: Iterable[str]) -> int:
    """Run everything, with counts such as `web=2`; return the exit status.

    Raises:
        DevError: something is missing, taken or wrong; one line that says what to do.
    """
    environment = read_environment()
    plan = make_plan(
        (ROOT / "Procfile").read_text(), parse_counts(words), first_port=_first_port(environment)
    )
    with hold_alone(home() / "run.lock", "Hubbub runs"):
        _check_ports(plan.slots)
        console = Console([slot.name for slot in plan.slots])
        with servers_running(environment, home(), console.say):
            return _supervise(plan, environment, console)


def _supervise(plan: Plan, environment: Mapping[str, str], console: Console) -> int:
    supervisor = Supervisor(plan, environment=environment, folder=ROOT, console=console)
    stop_on_signals(supervisor)
    if not supervisor.run_release():
        return 0 if supervisor.is_stopping else 1
    # A daemon: it waits for answers, the supervisor must not wait for it.
    threading.Thread(target=_announce, args=[plan.slots, supervisor, console], daemon=True).start()
    supervisor.run()
    console.say("stopped")
    return 0


def _announce(slots: Sequence[Slot], supervisor: Supervisor, console: Console) -> None:
    """Say where Hubbub is, once its processes are ready or have had their time."""
    deadline = time.monotonic() + READY_SECONDS
    waiting = list(slots)
    while waiting and time.monotonic() < deadline and not supervisor.is_stopping:
        waiting = [slot for slot in waiting if not _is_ready(slot)]
        time.sleep(0.1)
    if supervisor.is_stopping:
        return
    if waiting:
        names = ", ".join(slot.name for slot in waiting)
        console.say(f"not ready after {READY_SECONDS:g} s: {names}")
    gateways = [slot for slot in slots if slot.name.startswith(f"{GATEWAY}.")]
    for gateway in gateways:
        console.say(f"{gateway.name}: http://localhost:{gateway.port}")
    if gateways:
        console.say("Ctrl-C stops it. Try:" if waiting else "Hubbub is up; Ctrl-C stops it. Try:")
        console.say(_CURL % gateways[0].port)


def _is_ready(slot: Slot) -> bool:
    path = "/healthz" if slot.name.startswith(f"{GATEWAY}.") else "/readyz"
    return get_status(slot.port, path) == 200


def _first_port(environment: Mapping[str, str]) -> int:
    text = environment.get("PORT") or str(DEFAULT_PORT)
    if not text.isdigit() or not 0 < int(text) < 65_000:
        raise PlanError(f"PORT: {text!r} is no port that leaves room for the other processes")
    return int(text)


def _check_ports(slots: Iterable[Slot]) -> None:
    for slot in slots:
        if is_taken(slot.port):
            raise PlanError(
                f"port {slot.port}, for {slot.name}, is taken by another program: "
                f"stop it, or choose other ports: PORT=6001 make run"
            )
