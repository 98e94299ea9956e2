"""`python -m bench`: run the benchmarks, or write the tables and plots from the last run."""

import argparse
import signal
import sys

from bench.campaign import FULL, QUICK, Campaign
from bench.publication import publish
from bench.schedule import run_all
from bench.table import load_results, print_table
from dev.errors import DevError


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=["full", "quick", "publish"])
    parser.add_argument("--only", default="", help="scenarios, separated by commas")
    parser.add_argument("--passes", type=int, help="how often each is run (3; quick: once)")
    told = parser.parse_args()
    # Ended in order: servers are stopped, and their folder is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if told.what != "publish":
        only = tuple(filter(None, told.only.split(",")))
        campaign = Campaign(QUICK if told.what == "quick" else FULL, only, told.passes)
        try:
            run_all(campaign)
        except DevError as error:
            sys.stderr.write(f"bench: {error}\n")
            return 1
        print_table(load_results(campaign.file))
    if told.what != "quick":
        publish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
