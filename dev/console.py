"""Many processes' lines on one terminal, each with its process's name and colour."""

import sys
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import IO, Final

from honcho.colour import get_colours
from honcho.printer import Message, Printer

SUPERVISOR: Final = "hubbub"


class Console:
    """Prints whole lines, from any thread.

    `is_broken` once nobody reads them any more: the terminal was closed, or a pipe's reader ended.
    """

    def __init__(self, names: Iterable[str], output: IO[str] | None = None) -> None:
        self.is_broken = False
        self._colours = dict(zip(names, get_colours(), strict=False))
        width = max(map(len, [SUPERVISOR, *self._colours]))
        self._printer = Printer(output or sys.stdout, time_format="", width=width)
        self._lock = threading.Lock()

    def print_line(self, name: str, line: str | bytes) -> None:
        """Print a line of the process `name`."""
        colour = self._colours.get(name)
        now = datetime.now().astimezone()
        with self._lock:
            try:
                self._printer.write(Message("line", line, now, name, colour))
            except OSError:
                self.is_broken = True

    def say(self, line: str) -> None:
        """Print what the supervisor itself has to say."""
        self.print_line(SUPERVISOR, line)
