"""`kato demo`: the main job end to end, from one manifest to predictions that a person can read (spec: cli.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SENTENCES = 2000


def demo(
    file: Annotated[Path, typer.Option("--file", "-f", help="The manifest to apply.")] = Path(
        "examples/quickstart.yaml"
    ),
    count: Annotated[int, typer.Option("--sentences", min=10, help="How many sentences to learn.")] = SENTENCES,
) -> None:
    """Show it all: a manifest, a text stream, predictions.

    The manifest is applied to this machine, a real text stream is learned, and half sentences are completed. The text
    is the documentation inside the running Python's own standard library. What was learned is kept: a second run
    finds it and asks at once.
    """
    if not file.exists():
        raise typer.BadParameter(
            f"no file {str(file)!r} here: run this in the repository, or name a manifest by --file"
        )
    from kato_cli import show  # noqa: PLC0415 - the engine's and the manifests' models, for no other command

    show.show(file, count)
