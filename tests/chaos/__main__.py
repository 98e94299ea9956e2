"""`python -m tests.chaos`: break everything, and show that nothing is lost, doubled, out of order.

From the environment: MINUTES (default 2), SEED (default: a new one, which is shown), BROKERS=3 for
a cluster of Kafka brokers. The logs of a run that failed are kept.
"""

import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.broker_faults import WITH_THREE_BROKERS
from tests.chaos.faults import FAULTS
from tests.chaos.report import render
from tests.chaos.run import run_chaos


def main() -> int:
    """Run; return 0 if nobody complained."""
    minutes = float(os.environ.get("MINUTES") or 2)
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
    folder = Path(tempfile.mkdtemp(prefix="hubbub-chaos-"))
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:>6.0f} s  {line}", flush=True)

    say(f"chaos for {minutes:g} minutes, SEED={seed}, logs in {folder}")
    is_replicated = os.environ.get("BROKERS") == "3"
    faults = WITH_THREE_BROKERS if is_replicated else FAULTS
    result = asyncio.run(
        run_chaos(folder, seed, minutes * 60, say, faults, has_three_brokers=is_replicated)
    )
    print(render(result))
    is_clean = result.tally.is_clean and not result.unsettled
    if is_clean:
        shutil.rmtree(folder)
    print("\nnothing lost, nothing twice, always in order" if is_clean else "\nFAILED")
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
