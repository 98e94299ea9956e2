"""Every mechanism of the guarantee, and how it is switched off, in a process of its own.

Nothing of this is in production code: a sabotaged process patches what it has imported.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from app import reconciler
from app.archive.marks import Marks
from app.publisher import Publisher
from app.stream_log import scripts
from app.streaming.consumer_thread import ConsumerThread
from app.streaming.lease import Lease
from app.streaming.ledger import Ledger
from tables import snapshot
from web.fan_out import sweep
from web.fan_out.mending import Mender
from web.fan_out.stream import Stream

SABOTAGE_VARIABLE: Final = "CHAOS_SABOTAGE"
HOLDS_VARIABLE: Final = "CHAOS_HOLDS"
HOLDS: Final = ("marks", "commit", "publish")
_HOLD_SECONDS: Final = 0.02


def switch_off_guard() -> None:
    """The append script takes every record for a new one."""
    _rewrite(scripts.APPEND, "if incarnation == ARGV[8] then guard = tonumber(offset) end", "")


def switch_off_rev_rule() -> None:
    """The append script replaces a cached message by an older state of it."""
    _rewrite(scripts.APPEND, "tonumber(ARGV[i + 4]) > rev", "true")


def switch_off_run_id() -> None:
    """Every Redis is taken for the same."""
    for script in (scripts.APPEND, scripts.POSITION, scripts.READ, scripts.FILL):
        _rewrite(script, "return run_id .. ", "return 'always' --")


def switch_off_hole_fill() -> None:
    """A gateway gives out what it hears, whatever is missing before it."""
    careful = Stream.accept

    def accept(self: Stream, epoch: str, first_seq: int, payloads: Any) -> Any:
        if epoch == self.epoch and first_seq > self.seq + 1:
            self.seq = first_seq - 1
        return careful(self, epoch, first_seq, payloads)

    setattr(Stream, "accept", accept)  # noqa: B010


def switch_off_position_check() -> None:
    """A gateway never compares quiet streams with Redis."""

    async def check(_: Mender, __: Any) -> None:
        return

    setattr(Mender, "check", check)  # noqa: B010


def switch_off_prefix_commit() -> None:
    """What was handed out is committed, acknowledged or not."""

    def committable(self: Any) -> int | None:
        while self._open:
            self._committable = self._open.popleft().last + 1
        committed: int | None = self._committable
        return committed

    setattr(Ledger, "committable", property(committable))  # noqa: B010


def switch_off_reconciler() -> None:
    """Nobody looks for accepted changes that never reached Kafka."""

    async def run(_: reconciler.Reconciler) -> None:
        await asyncio.get_running_loop().create_future()

    setattr(reconciler.Reconciler, "run", run)  # noqa: B010


def switch_off_lease() -> None:
    """A worker that was frozen believes that its partitions are still its own."""
    setattr(Lease, "is_held", property(lambda _: True))  # noqa: B010


def switch_off_store_check() -> None:
    """A table's flush does not look at what it wrote last."""
    register = snapshot._register

    def register_careless(redis: Any, name: str) -> Any:
        script = register(redis, name)
        if name == "flush.lua":
            text = str(script.script)
            for check in (
                "if verdict ~= 'OWNER' then return verdict end",
                "if not step or step < tonumber(ARGV[3]) or step > tonumber(ARGV[4]) "
                "then return 'LOST' end",
            ):
                assert check in text
                text = text.replace(check, "")
            return redis.register_script(text)
        return script

    setattr(snapshot, "_register", register_careless)  # noqa: B010


SABOTAGES: Final[dict[str, Callable[[], None]]] = {
    "guard": switch_off_guard,
    "hole_fill": switch_off_hole_fill,
    "position_check": switch_off_position_check,
    "run_id": switch_off_run_id,
    "rev_rule": switch_off_rev_rule,
    "prefix_commit": switch_off_prefix_commit,
    "reconciler": switch_off_reconciler,
    "lease": switch_off_lease,
    "store_check": switch_off_store_check,
}


def apply_from_environment() -> None:
    """Switch off what the environment names; make the holds and the shorter waits."""
    for name in os.environ.get(SABOTAGE_VARIABLE, "").split(","):
        if name:
            SABOTAGES[name]()
    _wait_less()
    if folder := os.environ.get(HOLDS_VARIABLE):
        _make_holds(Path(folder))


def _wait_less() -> None:
    setattr(sweep, "CHECK_SECONDS", 1)  # noqa: B010
    # Bound to the defaults of its arguments.
    assert reconciler.Reconciler.__init__.__kwdefaults__ is not None
    reconciler.Reconciler.__init__.__kwdefaults__.update(every_seconds=0.3, after_seconds=1.5)


def _make_holds(folder: Path) -> None:
    """A scenario holds a process at a place by a file of that name."""
    pid = os.getpid()

    async def hold(place: str) -> None:
        if (folder / place).exists():
            (folder / f"{place}.{pid}").touch()
        while (folder / place).exists():
            await asyncio.sleep(_HOLD_SECONDS)

    send, commit = Publisher._send, ConsumerThread._commit

    def hold_after(number: Any) -> Any:
        async def number_and_hold(self: Marks, *arguments: Any) -> Any:
            election = await number(self, *arguments)
            await hold("marks")
            return election

        return number_and_hold

    async def hold_and_send(self: Publisher, *arguments: Any) -> bool:
        await hold("publish")
        return await send(self, *arguments)

    async def commit_unless_held(self: ConsumerThread, offsets: Any) -> bool:
        return False if (folder / "commit").exists() else await commit(self, offsets)

    for name in ("number", "number_few"):
        setattr(Marks, name, hold_after(getattr(Marks, name)))
    setattr(Publisher, "_send", hold_and_send)  # noqa: B010
    setattr(ConsumerThread, "_commit", commit_unless_held)  # noqa: B010


def _rewrite(script: scripts.Script, text: str, by: str) -> None:
    assert text in script.text, text
    scripts.Script.__init__(script, script.text.replace(text, by))


__all__ = ["HOLDS", "HOLDS_VARIABLE", "SABOTAGES", "SABOTAGE_VARIABLE", "apply_from_environment"]
