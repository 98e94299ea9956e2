"""`python -m bench.load`: one run; the spec is read from standard input."""

import gc
import sys

import uvloop

from bench.load.modes import run

if __name__ == "__main__":
    # Nothing here is cyclic, and a collection would show as latency.
    gc.disable()
    uvloop.run(run(sys.stdin.buffer.readline()))
