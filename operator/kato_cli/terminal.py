"""What the commands print: results on stdout, everything else on stderr, colours only on a terminal.

Called by every command (spec: cli.md, "Habits"). Rich itself heeds NO_COLOR and what stdout is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_WIDER_THAN_ANY_TABLE = 10_000


def out() -> Console:
    """Return stdout as it is now."""
    return Console(highlight=False, markup=False, emoji=False)


def err() -> Console:
    """Return stderr as it is now."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """Print one line of the result; it is never wrapped, so that a script reads it as it is."""
    typer.echo(text)


def notice(text: str) -> None:
    """Print what a user should know beside the result."""
    typer.echo(f"kato: {text}", err=True)


def dump(value: Any, form: str) -> None:  # noqa: ANN401 - any JSON value
    """Print a value for a program: as JSON or as YAML."""
    if form == "yaml":
        from kato_operator.local.api_yaml import dumped  # noqa: PLC0415 - for this form alone

        say(dumped(value))
    else:
        say(json.dumps(value, indent=2, ensure_ascii=False))


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as kubectl does: no lines, nothing cut off, whatever the width of the terminal."""
    say(table(head, rows))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the text of such a table; the head is bold on a terminal."""
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for title in head:
        grid.add_column(title, no_wrap=True)
    for row in rows:
        grid.add_row(*map(Text, row))
    console = out()
    console.width = _WIDER_THAN_ANY_TABLE
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def shown(value: object) -> str:
    """Write a value for people: pairs and lists by commas, nothing as a dash."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={inner}" for key, inner in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def facts(values: Mapping[str, object]) -> None:
    """Print what is known of one thing, a fact a line; more than a few pairs get a line each, indented."""
    for key, value in values.items():
        name = key.replace("_", " ")
        if isinstance(value, dict) and len(value) > 3:
            say(name)
            width = max(map(len, value))
            for inner, one in value.items():
                say(f"  {inner:<{width}}  {shown(one)}")
        else:
            say(f"{name:<18} {shown(value)}")


def age(seconds: int) -> str:
    """Write an age as kubectl does: the two largest units, the smaller one only while it matters."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 120:
        return f"{minutes}m"
    return f"{hours}h" if hours < 48 else f"{days}d"


def grid(head: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """Return an empty table for people to read: nothing is cut, words fold, `numbers` are flush right and do not."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for title in head:
        is_number = title in numbers
        table.add_column(title, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    return table


def show(table: Table) -> None:
    """Print a table for people; where there is neither a terminal nor COLUMNS, as wide as it is."""
    console = out()
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = _WIDER_THAN_ANY_TABLE
    console.print(table)


def progress() -> Progress:
    """Return a progress bar on stderr; where that is no terminal, only its last state is printed."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=err(),
    )
