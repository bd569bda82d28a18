"""`python -m tests.bench --suite NAME --out FILE`: run one suite, print its table, write its JSON lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.bench import cli, engine, http, http_predict, machine, operator, operator_pods, smoke
from tests.bench.plot import plot
from tests.bench.rows import Row, print_table, write_lines

WIDTH = 140  # columns of a table that no terminal bounds
SUITES: dict[str, Callable[[], Iterator[Row]]] = {
    "cli": cli.rows,
    "smoke": smoke.rows,
    "engine": engine.rows,
    "http": http.rows,
    "http-predict": http_predict.rows,
    "operator": operator.rows,
    "operator-pods": operator_pods.rows,
}


def main() -> None:
    """Run the suite that the command line names."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure beside a peer, in the same run.")
    parser.add_argument("--suite", choices=sorted(SUITES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines to write")
    parser.add_argument("--plot", type=Path, help="SVG to draw: latency against the number of patterns, all methods")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    title = f"{options.suite} on {machine.described()}"
    rows: list[Row] = []
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(f"measuring {options.suite}", total=None)
            for row in SUITES[options.suite]():
                rows.append(row)
                progress.update(task, description=f"measured {row.row}")
    finally:  # what was measured before a failure took its time too
        if rows:
            write_lines(rows, options.out)
            print_table(rows, title, console)
            console.print(f"written to {options.out}")
    if options.plot:
        options.plot.write_text(plot(rows, title))
        console.print(f"drawn in {options.plot}")


if __name__ == "__main__":
    main()
