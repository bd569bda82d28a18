"""One measured figure, and how rows are written: JSON lines for programs, a table for people."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, TypedDict

from rich.console import Console
from rich.table import Table


class Place(TypedDict):
    """Where on a curve a row stands: how many patterns the KB holds, and the recall threshold."""

    patterns: int
    threshold: float


@dataclass(frozen=True, slots=True)
class Row:
    """A figure beside its peer's from the same run. `goal` is a bound of `ratio`, or of `value` without a peer.

    `patterns` and `threshold` as in `Place`, where the row stands on a curve.
    With `goal_of` "value" the goal is a bound of the figure itself, and the peer says what the machine could do.
    """

    suite: str
    row: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    patterns: int | None = None
    threshold: float | None = None
    goal_of: Literal["ratio", "value"] = "ratio"

    @property
    def ratio(self) -> float | None:
        """Return value / peer_value, or None without a peer."""
        return None if self.peer_value is None else self.value / self.peer_value

    @property
    def met(self) -> bool | None:
        """Say whether the goal is met, or None without a goal."""
        if self.goal is None:
            return None
        figure = self.value if self.ratio is None or self.goal_of == "value" else self.ratio
        return figure <= self.goal if self.better == "lower" else figure >= self.goal

    def as_dict(self) -> dict[str, object]:
        """Return the row as it stands in the JSON lines."""
        names = ("suite", "row", "value", "unit", "peer", "peer_value", "ratio", "goal", "met", "patterns", "threshold")
        return {name: getattr(self, name) for name in names}


def median_ms(call: Callable[[], object], *, times: int, warm_up: int = 5) -> float:
    """Return the median duration of `call` in milliseconds over `times` runs, after `warm_up` uncounted ones."""
    for _ in range(warm_up):
        call()
    durations = []
    for _ in range(times):
        start = perf_counter()
        call()
        durations.append(perf_counter() - start)
    return statistics.median(durations) * 1000


def write_lines(rows: Sequence[Row], out: Path) -> None:
    """Write one JSON object a line."""
    out.write_text("".join(json.dumps(row.as_dict()) + "\n" for row in rows))


def print_table(rows: Sequence[Row], title: str, console: Console) -> None:
    """Print the rows as a table under `title`, which names machine and load."""
    table = Table(title=title)
    for column in ("row", "value", "unit", "peer", "peer value", "ratio", "goal", "met"):
        table.add_column(column, justify="left" if column in {"row", "unit", "peer", "met"} else "right")
    for row in rows:
        met = {None: "-", True: "yes", False: "NO"}[row.met]
        table.add_row(
            row.row, shown(row.value), row.unit, row.peer or "-", shown(row.peer_value), shown_share(row.ratio),
            shown_share(row.goal), met,
        )  # fmt: skip
    console.print(table)


def shown(figure: float | None) -> str:
    """Return a figure with three significant digits, or a dash."""
    return "-" if figure is None else f"{figure:.3g}"


def shown_share(figure: float | None) -> str:
    """Return a ratio or its goal, a small one as 1/n: n times less than the peer."""
    return f"1/{1 / figure:.0f}" if figure and figure < 0.1 else shown(figure)
