"""`python -m tests.bench --suite NAME --out FILE`: run one suite, print its table, write its JSON lines."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.bench import cli, engine, machine, smoke
from tests.bench.rows import Row, print_table, write_lines

SUITES: dict[str, Callable[[], Iterator[Row]]] = {"smoke": smoke.rows, "engine": engine.rows, "cli": cli.rows}


def main() -> None:
    """Run the suite that the command line names."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure beside a peer, in the same run.")
    parser.add_argument("--suite", choices=sorted(SUITES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="file of JSON lines to write")
    options = parser.parse_args()
    console = Console()
    title = f"{options.suite} on {machine.described()}"
    rows = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"measuring {options.suite}", total=None)
        for row in SUITES[options.suite]():
            rows.append(row)
            progress.update(task, description=f"measured {row.row}")
    write_lines(rows, options.out)
    print_table(rows, title, console)
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
