"""What a run says in the end."""

from collections.abc import Iterator

from tests.chaos.run import Result


def render(result: Result) -> str:
    """The table of a run."""
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    tally, count = result.tally, result.tally.complaints
    yield ""
    yield f"seed {result.seed}"
    yield f"  {'fault':<28}{'at':>7}{'held':>8}{'recovered after':>18}"
    for hit in result.hits:
        recovery = "not" if hit.recovery_seconds is None else f"{hit.recovery_seconds:.1f} s"
        yield f"  {hit.name:<28}{hit.at:>5.0f} s{hit.held_seconds:>6.1f} s{recovery:>18}"
    rows = {
        "messages sent": tally.sent,
        "messages accepted": tally.accepted,
        "edits, deletions, reactions accepted": tally.changes,
        "requests repeated": tally.retried,
        "deliveries due": result.expected_deliveries,
        "delivered (changes included)": tally.delivered,
        "connections": tally.connections,
        "resumed by log": tally.by_log,
        "resumed by history": tally.by_history,
        "resumed by reload": tally.by_reload,
        "resynced": tally.resynced,
        "published messages dropped": result.published_dropped,
        "slow clients dropped": result.slow_dropped,
        "lost": count["lost"] + count["gap"],
        "doubled": count["doubled"],
        "out of order": count["out_of_order"],
        "different from MongoDB": count["differs"],
        "wrong answers": count["refused"],
        "processes ended wrongly": count["process"],
    }
    yield ""
    for name, value in rows.items():
        yield f"  {name:<40}{value:>10,}"
    if result.restarts:
        ended = ", ".join(f"{name} ×{n}" for name, n in sorted(result.restarts.items()))
        yield f"  started again: {ended}"
    if result.unsettled:
        yield f"  not settled: {result.unsettled}"
    else:
        yield f"  all settled {result.settle_seconds:.1f} s after the last fault"
    for detail in tally.details[:30]:
        yield f"  {detail[:400]}"
