"""The `kato-operator` program: `run` in a pod, and what an installation needs beside it.

`crds` prints the CRDs of this version, `release-finalizers` lets every processor go (the chart's pre-delete hook).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Annotated, TypeVar

import typer
import uvloop
import yaml
from pydantic import ValidationError

from kato_operator.app import run as run_operator
from kato_operator.cluster.rules import BINDING_RULES, LEASE_RULES, RULES, STORES_RULES
from kato_operator.release import release_finalizers
from kato_operator.settings import PREFIX, OperatorSettings
from kato_operator.telemetry.logs import set_up
from kato_spec.errors import KatoError
from kato_spec.generate import rendered
from kato_spec.schema import definitions

app = typer.Typer(no_args_is_help=True, add_completion=False, help="KATO on Kubernetes.")

Result = TypeVar("Result")

FAILED = 1
USAGE = 2


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


@app.command()
def run() -> None:
    """Run the operator: by the pod's service account, or by KUBECONFIG. Settings are KATO_OPERATOR_* variables."""
    sys.exit(_ending(run_operator))


@app.command("release-finalizers")
def release() -> None:
    """Take our finalizer off every processor, so that nothing waits for an operator that is going."""
    _ending(release_finalizers)


@app.command()
def rules() -> None:
    """Print the RBAC rules that the operator needs, as YAML: in each watched namespace, and for its Lease."""
    granted = {
        "watched": RULES,
        "watched, on its RoleBinding there": BINDING_RULES,
        "own": LEASE_RULES,
        "own, where stores are named": STORES_RULES,
    }
    typer.echo(
        yaml.safe_dump({where: [rule.manifest() for rule in found] for where, found in granted.items()}), nl=False
    )


def _ending(program: Callable[[OperatorSettings], Coroutine[None, None, Result]]) -> Result:
    """Run `program` with the settings of this process; what cannot work ends in one clear line."""
    try:
        settings = OperatorSettings()
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            name = PREFIX + "_".join(str(step) for step in problem["loc"]).upper()
            typer.echo(f"kato-operator: {name}: {problem['msg']}", err=True)
        raise typer.Exit(USAGE) from error
    set_up(settings.log_level, settings.log_format)
    try:
        return uvloop.run(program(settings))
    except KatoError as error:
        typer.echo(f"kato-operator: {error}", err=True)
        raise typer.Exit(FAILED) from error


def main() -> None:
    """Run the program."""
    app()
