"""Locks between processes, held on a file; the kernel frees them when their holder ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.errors import DevError


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold the lock at `path`, waiting for whoever holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def hold_alone(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at `path`, or say that `what` has it.

    Raises:
        DevError: another process holds it; with its id.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DevError(f"{what} already, as process {file.read()}: stop it first") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
