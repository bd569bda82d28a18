"""The `kato-operator` program: prints the CRDs of this version, ready for `kubectl apply -f -`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from kato_spec.generate import rendered
from kato_spec.schema import definitions

app = typer.Typer(no_args_is_help=True, add_completion=False, help="KATO on Kubernetes.")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kato-operator {version('kato-operator')}")
        raise typer.Exit


@app.callback()
def program(
    shown: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """KATO on Kubernetes."""


@app.command()
def crds() -> None:
    """Print the CRDs as YAML: kato-operator crds | kubectl apply --server-side -f -."""
    for _, document in definitions():
        typer.echo(f"---\n{rendered(document)}", nl=False)


def main() -> None:
    """Run the program."""
    app()
