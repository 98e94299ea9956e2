"""TCP ports of this machine: which is free, which answers."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_FIRST: Final = 10_000
_LAST: Final = 32_000
_RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

_BLOCK: Final = 200
"""Ports behind one another that are one process's."""


def _walk() -> Iterator[int]:
    while True:
        first = random.randrange(_FIRST, _last_port() - _BLOCK, _BLOCK)
        guard = socket.socket()
        try:
            guard.bind(("127.0.0.1", first))
            guard.listen()
        except OSError:
            guard.close()
            continue
        # Who listens on the first has the others: until this process ends.
        guard.detach()
        yield from range(first + 1, first + _BLOCK)


_ports: Final = _walk()


def free_port() -> int:
    """Return a TCP port that was free a moment ago, and that no other caller was given, in no
    process that runs.

    It is taken some time later, and free again while what listens there is started anew: one that
    is chosen by chance would now and then be somebody else's.

    None of those from which the kernel takes the other end of outgoing connections: a client that
    tries to reach a stopped server there meets itself in the end (TCP's simultaneous open), and
    the server finds its port taken.
    """
    while True:
        port = next(_ports)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def is_taken(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), 1):
            return True
    except OSError:
        return False


def _last_port() -> int:
    try:
        first_outgoing = int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _LAST
    # A range that leaves no room below it: nothing is better then.
    return min(_LAST, first_outgoing - 1) if first_outgoing > _FIRST + 1000 else _LAST
