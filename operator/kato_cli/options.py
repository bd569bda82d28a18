"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kato_cli import completion

Form = Literal["json", "yaml"]
ListForm = Literal["wide", "json", "yaml", "name"]
Output = Annotated[Form | None, typer.Option("--output", "-o", help="Print the answer for a program instead.")]
FILE = typer.Option(
    "--file", "-f", metavar="FILE|DIR|-", help="A manifest, a directory of them, or - for standard input."
)
Files = Annotated[list[str], FILE]
Reference = Annotated[
    str,
    typer.Argument(
        metavar="ID|NAME", help="An instance that runs: its ID or its name.", autocompletion=completion.running
    ),
]
References = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID|NAME...",
        help="Instances, by ID or name.",
        show_default=False,
        autocompletion=completion.running,
    ),
]
Session = Annotated[
    str | None, typer.Option("--session", "-s", help="A session's ID; left out: the processor's default session.")
]


def pairs(flag: str, given: list[str] | None) -> list[tuple[str, str]]:
    """Return what `flag` was given as name and value.

    Raises:
        typer.BadParameter: one of them is no pair.
    """
    for one in given or []:
        if "=" not in one:
            raise typer.BadParameter(f"{flag} {one!r}: write it as name=value")
    return [(key, value) for key, _, value in (one.partition("=") for one in given or [])]
