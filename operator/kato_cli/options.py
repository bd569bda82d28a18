"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Form = Literal["json", "yaml"]
Output = Annotated[Form | None, typer.Option("--output", "-o", help="Print the answer for a program instead.")]
Files = Annotated[
    list[str],
    typer.Option(
        "--file", "-f", metavar="FILE|DIR|-", help="A manifest, a directory of them, or - for standard input."
    ),
]
Reference = Annotated[str, typer.Argument(metavar="ID|NAME", help="An instance that runs: its ID or its name.")]
Session = Annotated[
    str | None, typer.Option("--session", "-s", help="A session's ID; left out: the processor's default session.")
]
