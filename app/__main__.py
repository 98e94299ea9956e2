"""`python -m app`: the operator's commands."""

import argparse
import asyncio
import sys

from app import settings as settings_module
from app.commands.release import release
from app.errors import HubbubError
from app.telemetry import logs


def main() -> int:
    """Run one command; return the exit status, 1 with one line on stderr if it failed."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("release", help="provision topics and indexes; safe to repeat")
    commands.add_parser("settings", help="print every setting with its default (.env.example)")
    arguments = parser.parse_args()
    if arguments.command == "settings":
        sys.stdout.write(settings_module.example())
        return 0
    try:
        settings = settings_module.load()
        logs.configure(level=settings.log_level, form=settings.log_format)
        asyncio.run(release(settings))
    except HubbubError as error:
        sys.stderr.write(f"hubbub: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
