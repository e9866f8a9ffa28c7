"""Draws a comparison as SVG: a panel for each case, a bar for each server, the least CPU time on top."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

from bench.cases import CASES
from bench.results import Comparison, Row

COLUMNS = 3
PANEL = 400  # pixels: width of a panel
GAP = 28
LABEL = 168  # of a server's name
NUMBER = 52  # of the figure behind a bar
BAR = 12
STEP = 18
HEADING = 30
MARGIN = 28
LONG = 3.0  # a bar ends at this many times the median, so that one slow server does not flatten all others

INK, FAINT, PAPER = "#1d2430", "#6b7483", "#ffffff"
OURS, OURS_PURE, PEER, EARLIER = "#0f766e", "#7cc4bc", "#b4bcc8", "#8c95a4"
FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\""
CONVERTERS = (
    ("rsvg-convert", "--zoom=2", "--output={png}", "{svg}"),
    ("magick", "-density", "192", "{svg}", "{png}"),
    ("convert", "-density", "192", "{svg}", "{png}"),
)


def color(row: Row) -> str:
    if row.kind == "ours":
        return OURS_PURE if row.name.endswith("-pure") else OURS
    return EARLIER if row.name.startswith("old-") else PEER


def text(x: float, y: float, content: str, size: float = 11, fill: str = INK, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}" {more}>{escape(content)}</text>'


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def panel_height(rows: Sequence[Row]) -> int:
    return HEADING + STEP * len(rows)


def panel(case: str, rows: Sequence[Row], x: float, y: float) -> list[str]:
    """One case with its upper left corner at (x, y)."""
    served = sorted((row for row in rows if row.samples), key=lambda row: row.median("cpu"))
    title = CASES[case].title if case in CASES else case
    parts = [text(x, y + 14, title, 14, more='font-weight="600"')]
    costs = [row.median("cpu") for row in served]
    longest = min(max(costs), LONG * median(costs)) if costs else 1.0
    room = PANEL - LABEL - NUMBER
    for index, row in enumerate(served):
        top = y + HEADING + index * STEP
        cost = row.median("cpu")
        length = max(1.0, room * min(1.0, cost / longest)) if longest else 1.0
        weight = 'font-weight="600"' if row.kind == "ours" else ""
        parts.append(text(x + LABEL - 8, top + 10, row.label, more=f'text-anchor="end" {weight}'))
        parts.append(
            f'<rect x="{x + LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" fill="{color(row)}"/>'
        )
        if cost > longest:  # the bar is cut, and shows it
            cut = x + LABEL + length - 14
            points = f"{cut:.1f},{top + BAR} {cut + 5:.1f},{top} {cut + 8:.1f},{top} {cut + 3:.1f},{top + BAR}"
            parts.append(f'<polygon points="{points}" fill="{PAPER}"/>')
        parts.append(text(x + LABEL + length + 5, top + 10, number(cost), more=weight))
    for index, row in enumerate((row for row in rows if not row.samples), len(served)):
        top = y + HEADING + index * STEP
        parts.append(text(x + LABEL - 8, top + 10, row.label, fill=FAINT, more='text-anchor="end"'))
        reason = row.notes or "not measured"
        parts.append(text(x + LABEL, top + 10, reason if len(reason) < 40 else reason[:38] + "…", 10, FAINT))
    return parts


def legend(x: float, y: float) -> list[str]:
    parts = []
    for name, fill in (("this project", OURS), ("its pure build", OURS_PURE), ("peers", PEER), ("its 0.18", EARLIER)):
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" rx="2" fill="{fill}"/>')
        parts.append(text(x + 18, y, name, 12))
        x += 40 + 7 * len(name)
    return parts


def footer(about: dict[str, str], width: float) -> list[str]:
    """What the figures are of, in lines that fit."""
    words = "  ·  ".join(about[key] for key in ("method", "machine", "python", "load", "versions") if about.get(key))
    lines, line = [], ""
    for word in words.split(" "):
        if len(line) + len(word) > width / 6:
            lines.append(line)
            line = ""
        line += f"{word} "
    return [*lines, line] if line.strip() else lines


def draw(comparison: Comparison) -> str:
    """The whole picture, as the text of an SVG file."""
    cases = list(comparison.cases.items())
    columns = max(1, min(COLUMNS, len(cases)))
    width = max(2 * MARGIN + columns * PANEL + (columns - 1) * GAP, 640)
    parts = [
        text(MARGIN, 42, "CPU time of a request, in microseconds", 20, more='font-weight="600"'),
        text(MARGIN, 62, "Less is better. All processes of a server count.", 12, FAINT),
        *legend(MARGIN, 86),
    ]
    y = 112.0
    for begin in range(0, len(cases), columns):
        line = cases[begin : begin + columns]
        for index, (case, rows) in enumerate(line):
            parts += panel(case, rows, MARGIN + index * (PANEL + GAP), y)
        y += max(panel_height(rows) for _, rows in line) + GAP
    below = footer(comparison.about, width - 2 * MARGIN)
    parts += [text(MARGIN, y + 12 + 14 * index, line.strip(), 10, FAINT) for index, line in enumerate(below)]
    height = y + 14 * len(below) + MARGIN
    return document(width, height, parts)


# The small picture follows the reader's colour scheme, where the picture stands in a page of the same.
SMALL_STYLE = """<style>
.paper { fill: #ffffff } .ink { fill: #1d2430 } .faint { fill: #57606e }
.ours { fill: #0f766e } .peer { fill: #b4bcc8 }
@media (prefers-color-scheme: dark) {
  .paper { fill: #14181f } .ink { fill: #e6e9ef } .faint { fill: #a3acb9 }
  .ours { fill: #2dd4bf } .peer { fill: #5b6573 }
}
</style>"""


def draw_small(costs: Sequence[tuple[str, float, bool]], note: str) -> str:
    """A chart for a first page, readable on a telephone: (label, microseconds, whether it is ours), least on top."""
    width, left, step, bar = 400, 168, 30, 18
    longest = max(cost for _, cost, _ in costs)
    room = width - left - 52
    parts = [SMALL_STYLE, '<rect class="paper" width="100%" height="100%" rx="8"/>']
    parts.append(_small(16, 28, "CPU time of a request", 16, 'class="ink" font-weight="600"'))
    parts.append(_small(16, 48, "in microseconds; less is better", 13, 'class="faint"'))
    top = 64
    for label, cost, ours in sorted(costs, key=lambda one: one[1]):
        length = room * cost / longest
        weight = ' font-weight="600"' if ours else ""
        parts.append(_small(left - 8, top + 14, label, 14, f'class="ink" text-anchor="end"{weight}'))
        shape = f'x="{left}" y="{top}" width="{length:.1f}" height="{bar}" rx="3"'
        parts.append(f'<rect class="{"ours" if ours else "peer"}" {shape}/>')
        parts.append(_small(left + length + 6, top + 14, number(cost), 14, f'class="ink"{weight}'))
        top += step
    parts.append(_small(16, top + 12, note, 11, 'class="faint"'))
    height = top + 28
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT} role="img">'
    return "\n".join((head, "<title>CPU time of a request, beside other servers</title>", *parts, "</svg>", ""))


def small_costs(rows: Sequence[Row]) -> list[tuple[str, float, bool]]:
    """What the small chart shows of a case: the compiled build, and the peers."""
    shown = [row for row in rows if row.samples and not row.name.endswith("-pure") and not row.name.startswith("old-")]
    return [(row.label, row.median("cpu"), row.kind == "ours") for row in shown]


def _small(x: float, y: float, content: str, size: int, more: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" {more}>{escape(content)}</text>'


def document(width: float, height: float, parts: Iterable[str]) -> str:
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" {FONT}>',
            f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>',
            *parts,
            "</svg>",
            "",
        )
    )


def draw_png(svg: Path) -> Path | None:
    """The same as PNG beside the SVG file, by the first converter that can; None where there is none."""
    png = svg.with_suffix(".png")
    for name, *arguments in CONVERTERS:
        found = shutil.which(name)
        if found is None:
            continue
        filled = [argument.format(svg=svg, png=png) for argument in arguments]
        done = subprocess.run([found, *filled], capture_output=True)
        if done.returncode == 0 and png.exists() and png.read_bytes()[:4] == b"\x89PNG":
            return png
    return None
