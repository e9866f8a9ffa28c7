"""Draws figures over time as SVG: a panel under the other, a line for each process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.chart import FAINT, INK, MARGIN, document, text

WIDTH, HEIGHT, LEFT, GAP = 860, 120, 64, 44
COLORS = ("#0f766e", "#b45309", "#1d4ed8", "#9d174d", "#4d7c0f", "#6b7483")


class Line(NamedTuple):
    """A named line: pairs of minute and value, in pieces where it is broken."""

    name: str
    pieces: list[list[tuple[float, float]]]


class Panel(NamedTuple):
    """What is drawn together, from zero on."""

    title: str
    lines: Sequence[Line]


def place(panel: Panel, minutes: float, top: float) -> list[str]:
    """A panel with its title at `top`."""
    values = [value for line in panel.lines for piece in line.pieces for _, value in piece]
    highest = max(values, default=1.0) * 1.1 or 1.0
    bottom = top + 12 + HEIGHT
    parts = [text(MARGIN, top, panel.title, 14, more='font-weight="600"')]
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * HEIGHT
        parts.append(f'<path d="M{MARGIN + LEFT} {y:.1f}h{WIDTH}" stroke="{FAINT}" stroke-width="0.5"/>')
        parts.append(text(MARGIN + LEFT - 6, y + 4, f"{share * highest:,.0f}", 10, FAINT, 'text-anchor="end"'))
    for index, line in enumerate(panel.lines):
        color = COLORS[index % len(COLORS)]
        for piece in line.pieces:
            points = " ".join(
                f"{MARGIN + LEFT + x / minutes * WIDTH:.1f},{bottom - y / highest * HEIGHT:.1f}" for x, y in piece
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.4"/>')
    return parts


def draw(title: str, notes: Sequence[str], panels: Sequence[Panel], minutes: float) -> str:
    """The whole picture, as the text of an SVG file."""
    parts = [text(MARGIN, 42, title, 20, more='font-weight="600"')]
    parts += [text(MARGIN, 62 + 14 * index, note, 11, FAINT) for index, note in enumerate(notes)]
    y = 62.0 + 14 * len(notes) + 8
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    x = float(MARGIN)
    for index, name in enumerate(names):
        parts.append(f'<path d="M{x:.0f} {y - 4:.0f}h16" stroke="{COLORS[index % len(COLORS)]}" stroke-width="2"/>')
        parts.append(text(x + 22, y, name, 12))
        x += 44 + 6.5 * len(name)
    y += 34
    for panel in panels:
        lines = {line.name: line for line in panel.lines}
        ordered = [lines.get(name, Line(name, [])) for name in names]  # the same color in every panel
        parts += place(panel._replace(lines=ordered), minutes, y)
        y += HEIGHT + GAP
    for tenth in range(0, 11, 2):
        at = MARGIN + LEFT + tenth / 10 * WIDTH
        parts.append(text(at, y - 14, f"{minutes * tenth / 10:.0f}", 10, INK, 'text-anchor="middle"'))
    parts.append(text(MARGIN + LEFT + WIDTH, y + 2, "minutes", 10, FAINT, 'text-anchor="end"'))
    return document(WIDTH + LEFT + 2 * MARGIN, y + MARGIN, parts)
