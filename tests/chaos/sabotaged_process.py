"""`python -m tests.chaos.sabotaged_process web | agents <name>`: that process, sabotaged."""

import runpy
import sys

from tests.chaos import sabotage

if __name__ == "__main__":
    sabotage.apply_from_environment()
    package = sys.argv[1]
    sys.argv = [package, *sys.argv[2:]]
    runpy.run_module(package, run_name="__main__", alter_sys=True)
