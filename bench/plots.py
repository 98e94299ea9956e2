"""Bar charts as SVG: a panel a figure, a bar a contestant, each panel with a scale of its own."""

from collections.abc import Sequence
from html import escape
from typing import Final

from bench.table import TITLES, Row, say_cell

_WIDTH: Final = 760
_LABEL: Final = 300
_BAR: Final = 330
_BAR_HEIGHT: Final = 16
_GAP: Final = 22
_COLORS: Final = {
    "hubbub": "#4f46e5", "python": "#d97706", "node": "#059669", "echo": "#9ca3af",
    "plain": "#9ca3af", "empty": "#9ca3af", "full": "#4f46e5", "many": "#4f46e5", "two": "#9ca3af",
}  # fmt: skip
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#1f2937}.t{font-weight:600;font-size:16px}"
    ".s{font-size:12px;fill:#6b7280}.v{font-size:12px}"
)


def draw_bars(title: str, rows: Sequence[Row]) -> str:
    """Return an SVG document."""
    parts = [f'<text class="t" x="16" y="28">{escape(title)}</text>', *_legend(rows)]
    top = 74
    for row in rows:
        better = "more is better" if row.figure.more_is_better else "less is better"
        parts.append(_text(16, top + 13, f"{row.scenario.name}: {row.figure.title}"))
        parts.append(_text(16, top + 30, f"{row.figure.unit}, {better}", "s"))
        most = max(cell.value for cell in row.cells.values()) or 1.0
        y = top
        for name, cell in row.cells.items():
            width = max(1.0, _BAR * cell.value / most)
            parts.append(
                f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR_HEIGHT - 3}" '
                f'rx="2" fill="{_COLORS[name]}"/>'
            )
            parts.append(_text(_LABEL + width + 6, y + 11, say_cell(cell), "v"))
            y += _BAR_HEIGHT
        top = max(y, top + 34) + _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" '
        f'viewBox="0 0 {_WIDTH} {top}" role="img"><title>{escape(title)}</title>'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _legend(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.cells))
    parts = []
    x = 16.0
    for name in names:
        parts.append(f'<rect x="{x}" y="42" width="11" height="11" rx="2" fill="{_COLORS[name]}"/>')
        parts.append(_text(x + 16, 52, TITLES[name], "v"))
        x += 40 + 7 * len(TITLES[name])
    return parts


def _text(x: float, y: float, text: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
