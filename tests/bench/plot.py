"""Rows as curves: latency against the number of patterns, one panel a threshold, all methods. Called by `make bench`.

SVG by hand: both axes are logarithmic, and a drawing that a browser shows needs no library.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tests.bench.rows import Row

WIDTH, HEIGHT = 420, 320  # of a panel, in pixels
LEFT, TOP, RIGHT, BOTTOM = 60, 56, 40, 44  # margins of a panel
COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f")
LEGEND = 20  # height of a line of it

Point = tuple[float, float]
Curves = Mapping[str, Sequence[Point]]


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis from one power of ten to another, laid over pixels."""

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float) -> Scale:
        """Return the axis that shows all `values`, which are above 0."""
        logs = [math.log10(value) for value in values]
        low = math.floor(min(logs))
        return cls(low, max(low + 1, math.ceil(max(logs))), start, end)

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the powers of ten on the axis."""
        return [10.0**power for power in range(self.low, self.high + 1)]


def plot(rows: Iterable[Row], title: str) -> str:
    """Return an SVG of the rows that stand on a curve.

    Raises:
        ValueError: none does.
    """
    panels = panels_of(rows)
    if not panels:
        raise ValueError("no row of this suite stands on a curve over the number of patterns: nothing to plot")
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    points = [point for curves in panels.values() for curve in curves.values() for point in curve]
    parts = [text(WIDTH * len(panels) / 2, 18, title, anchor="middle")]
    for number, (threshold, curves) in enumerate(sorted(panels.items())):
        left = number * WIDTH
        across = Scale.over([x for x, _ in points], left + LEFT, left + WIDTH - RIGHT)
        up = Scale.over([y for _, y in points], HEIGHT - BOTTOM, TOP)
        parts += axes(across, up, f"t = {threshold}")
        for name, curve in curves.items():
            parts += drawn(curve, across, up, colours[name])
    parts += legend(colours)
    width, height = WIDTH * len(panels), HEIGHT + LEGEND * (len(names) + 1)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"


def panels_of(rows: Iterable[Row]) -> dict[float, dict[str, list[Point]]]:
    """Return threshold -> method -> (patterns, ms) in order; a method is a row's first word or its peer."""
    panels: dict[float, dict[str, dict[int, float]]] = {}
    for row in rows:
        if row.patterns is None or row.threshold is None:
            continue
        curves = panels.setdefault(row.threshold, {})
        method = f"KATO, {row.row.partition(',')[0]}"
        curves.setdefault(method, {}).setdefault(row.patterns, row.value)
        if row.peer is not None and row.peer_value is not None:
            curves.setdefault(row.peer, {}).setdefault(row.patterns, row.peer_value)
    return {
        threshold: {name: sorted(curve.items()) for name, curve in curves.items()}
        for threshold, curves in panels.items()
    }


def axes(across: Scale, up: Scale, title: str) -> list[str]:
    """Draw a panel's grid, with its powers of ten written beside it."""
    parts = [text((across.start + across.end) / 2, TOP - 10, title, anchor="middle")]
    for value in across.ticks():
        x = across.at(value)
        parts += [line(x, up.start, x, up.end), text(x, up.start + 16, f"{value:,.0f}", anchor="middle")]
    for value in up.ticks():
        y = up.at(value)
        parts += [line(across.start, y, across.end, y), text(across.start - 6, y + 4, f"{value:g}", anchor="end")]
    parts.append(text((across.start + across.end) / 2, up.start + 34, "patterns; ms, p50", anchor="middle"))
    return parts


def drawn(curve: Sequence[Point], across: Scale, up: Scale, colour: str) -> list[str]:
    """Draw one method: a line through its points."""
    places = [(across.at(x), up.at(y)) for x, y in curve]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places),
    ]


def legend(colours: Mapping[str, str]) -> list[str]:
    """Name the colours, below the panels."""
    parts = []
    for number, (name, colour) in enumerate(colours.items()):
        y = HEIGHT + LEGEND * number + 10
        parts += [f'<rect x="{LEFT}" y="{y - 10}" width="14" height="10" fill="{colour}"/>', text(LEFT + 22, y, name)]
    return parts


def line(x: float, y: float, to_x: float, to_y: float) -> str:
    """Draw a line of the grid."""
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="#ddd"/>'


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Write a few words."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}">{escape(words)}</text>'
