"""Hubbub with presence in a hurry: `python -m tests.support.presence_process web` or `… activity`.

The same code with short times, so that a test need not wait for minutes."""

import sys

from agents import __main__ as agents_main
from agents import expiry, sessions
from web import __main__ as web_main
from web import connection_counts

CLOSING_SECONDS = 4.0
SWEEP_SECONDS = 0.3
LEASE_SECONDS = 3
MISSING_SECONDS = 1.5

expiry.SWEEP_SECONDS = SWEEP_SECONDS  # type: ignore[misc]  # constants are Final
expiry.MISSING_SECONDS = MISSING_SECONDS  # type: ignore[misc]
sessions.CLOSING_MS = int(CLOSING_SECONDS * 1000)  # type: ignore[misc]
connection_counts.LEASE_SECONDS = LEASE_SECONDS  # type: ignore[misc]
connection_counts.RENEW_SECONDS = 1.0  # type: ignore[misc]

if __name__ == "__main__":
    sys.exit(web_main.main() if sys.argv[1] == "web" else agents_main.main())
