"""The runs of the messages worker alone: a backlog, restarts, and a channel of many members."""

import secrets
from functools import partial
from typing import Any, Final

from bench import workers
from bench.arena import Arena
from bench.campaign import Campaign
from bench.contestants import Hubbub
from bench.scenarios import CROWD, RESTART, WORKER

ROOMS: Final = 40
"""Channels whose members fill the table, spread over its partitions."""


def run_workers(campaign: Campaign, arena: Arena, hubbub: Hubbub) -> None:
    """Make those of the runs that are wanted, on one table that grows from one to the next."""
    if campaign.is_wanted(WORKER):
        workers.prepare_plain(arena)
        for number in campaign.numbers():
            _run_backlog(campaign, arena, hubbub, number)
    if campaign.is_wanted(RESTART):
        _restart_often(campaign, arena, hubbub, "empty")
    if campaign.is_wanted(CROWD):
        _run_crowd(campaign, arena, hubbub)
    if campaign.is_wanted(RESTART):
        _fill_up(campaign, arena, hubbub)
        _restart_often(campaign, arena, hubbub, "full")
        # Once each: they take minutes, and differ by more than a pass does.
        campaign.record(RESTART, "replay", 0, lambda: _replay(campaign, arena, hubbub))
        entries = campaign.size.stock_entries
        workers.prepare_stock(arena, entries)
        campaign.record(RESTART, "stock", 0, lambda: workers.restart_stock(arena, entries))


def _run_crowd(campaign: Campaign, arena: Arena, hubbub: Hubbub) -> None:
    crowd = {"many-0": campaign.size.crowd, "two-0": 2}
    workers.fill_table(arena, hubbub, crowd, crowd="many-0")
    for number in campaign.numbers():
        for name in ("many", "two"):
            load = {**CROWD.load, "prefix": name}
            campaign.record(CROWD, name, number, partial(campaign.load, arena, hubbub, load))


def _run_backlog(campaign: Campaign, arena: Arena, hubbub: Hubbub, number: int) -> None:
    count = campaign.size.worker_backlog
    prefix = secrets.token_hex(3)
    campaign.record(
        WORKER, "plain", number, lambda: workers.run_backlog_of_plain(arena, f"p{prefix}", count)
    )

    def run_hubbub() -> dict[str, Any]:
        hubbub.stop_consumer()
        return workers.run_backlog_of_hubbub(arena, hubbub, f"h{prefix}", count)

    campaign.record(WORKER, "hubbub", number, run_hubbub)
    hubbub.processes["messages.1"].wait_ready()


def _fill_up(campaign: Campaign, arena: Arena, hubbub: Hubbub) -> None:
    """Give the table its size; the runs before this one have left entries in it."""
    missing = campaign.size.table_entries - workers.count_entries(arena)
    each, rest = divmod(missing, ROOMS)
    rooms = {f"room-{number}": each + (number < rest) for number in range(ROOMS)}
    took = workers.fill_table(arena, hubbub, rooms, crowd="")
    print(f"{missing:,} entries taken in for the first time in {took:.1f} s")


def _restart_often(campaign: Campaign, arena: Arena, hubbub: Hubbub, name: str) -> None:
    for number in campaign.numbers():
        campaign.record(RESTART, name, number, lambda: _restart(campaign, arena, hubbub))


def _restart(campaign: Campaign, arena: Arena, hubbub: Hubbub) -> dict[str, Any]:
    load = {"mode": "backlog", "posters": 1, "messages": 1}
    entries = workers.count_entries(arena)
    result = campaign.load(arena, hubbub, load)
    hubbub.processes["messages.1"].wait_ready()
    return {"first_ms": result.get("first_ms"), "entries": entries, "seconds": 0.0, "cpu_s": {}}


def _replay(campaign: Campaign, arena: Arena, hubbub: Hubbub) -> dict[str, Any]:
    entries = workers.count_entries(arena)
    hubbub.stop_consumer()
    workers.wipe_table(arena)
    result = _restart(campaign, arena, hubbub)
    workers.wait_flushed(arena, entries)
    return {**result, "entries": entries}
