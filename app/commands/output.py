"""What a command prints: lines for a person, or JSON for a program."""

import sys
from collections.abc import Sequence
from typing import Any

import orjson


def print_json(value: Any) -> None:
    """Print a value as JSON on one line."""
    sys.stdout.write(orjson.dumps(value).decode() + "\n")


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns under their names, upper case; `-` for what there is not."""
    lines = [tuple(name.upper() for name in head)]
    lines += [tuple("-" if cell is None else str(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print_line("  ".join(cells).rstrip())


def print_line(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
