"""What is broken in the middle of a load, and mended."""

import time

from bench.arena import Arena
from bench.contestants import Contestant
from bench.scenarios import FROZEN, GATEWAY_KILLED


def break_and_mend(fault: str, arena: Arena, contestant: Contestant, seconds: float) -> None:
    """Kill a process (SIGKILL), or freeze a server for `seconds`; start again what has ended."""
    if fault in FROZEN:
        server = next(each for each in arena.servers if each.name == FROZEN[fault])
        server.freeze()
        try:
            time.sleep(seconds)
        finally:
            server.thaw()
    else:
        is_gateway = fault == GATEWAY_KILLED
        contestant.processes[contestant.gateway if is_gateway else contestant.consumer].kill()
    contestant.start_what_ended()
