"""`python -m bench.load`: one run; the spec is read from standard input."""

import gc
import sys

import orjson
import uvloop

from bench.load.faults import FaultyLoad
from bench.load.modes import Load, Spec, say


async def run(text: bytes) -> None:
    """Run what `text` says, and print the result as one line of JSON."""
    spec = Spec(**orjson.loads(text))
    load = FaultyLoad(spec) if spec.mode == "fault" else Load(spec)
    say(orjson.dumps(await load.run()).decode())


if __name__ == "__main__":
    # Nothing here is cyclic, and a collection would show as latency.
    gc.disable()
    uvloop.run(run(sys.stdin.buffer.readline()))
