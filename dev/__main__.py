"""`python -m dev`: Hubbub on this machine."""

import argparse
import signal
import sys

from dev.errors import DevError
from dev.run import read_environment, run
from dev.stack import start_in_background, stop_background
from dev.tools import home


def main() -> int:
    """Run one command; return the exit status, 1 with one line on stderr if it failed."""
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run", help="the servers and every process of the Procfile")
    run_parser.add_argument("counts", nargs="*", metavar="TYPE=COUNT", help="such as web=2")
    commands.add_parser("up", help="start the servers alone, in the background")
    commands.add_parser("down", help="stop the servers that `up` started")
    arguments = parser.parse_args()
    # Until the supervisor takes over: what was begun is undone, as by a Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if arguments.command == "run":
            return run(arguments.counts)
        if arguments.command == "up":
            start_in_background(read_environment(), home(), print)
        else:
            stopped = stop_background(home())
            print(f"stopped {', '.join(stopped)}" if stopped else "no server of `up` is running")
    except DevError as error:
        sys.stderr.write(f"hubbub: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
