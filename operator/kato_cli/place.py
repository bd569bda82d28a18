"""Where a command acts: on this machine, or on a cluster as kubectl finds it (spec: cli.md).

Called by the commands that work on both.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

_KUBERNETES = typer.Option(
    "--kubernetes/--local", help="On the cluster of your kubeconfig, or on this machine.", show_default=False
)
_NAMESPACE = typer.Option("--namespace", "-n", help="The namespace there; left out: your kubeconfig's.")
_CONTEXT = typer.Option("--context", help="The context of the kubeconfig; left out: its current one.")
_KUBECONFIG = typer.Option(
    "--kubeconfig", metavar="FILE", help="The kubeconfig; left out: $KUBECONFIG, else ~/.kube/config."
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as its user names it; what is None is as kubectl has it."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: Path | None = None


def on_either(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the options that name a cluster; it gets that as `there`, None where this machine is meant."""
    own = inspect.signature(command, eval_str=True)
    options = inspect.signature(_meant, eval_str=True).parameters
    parameters: list[inspect.Parameter] = []
    for one in own.parameters.values():
        parameters += options.values() if one.name == "there" else [one]

    @wraps(command)
    def placed(**given: Any) -> None:  # noqa: ANN401 - whatever the command takes
        there = _meant(**{name: given.pop(name) for name in options})
        command(**given, there=there)

    vars(placed)["__signature__"] = own.replace(parameters=parameters)
    return placed


def _meant(
    kubernetes: Annotated[bool, _KUBERNETES] = False,
    namespace: Annotated[str | None, _NAMESPACE] = None,
    context: Annotated[str | None, _CONTEXT] = None,
    kubeconfig: Annotated[Path | None, _KUBECONFIG] = None,
) -> Cluster | None:
    if kubernetes:
        return Cluster(namespace, context, kubeconfig)
    for flag, value in {"--namespace": namespace, "--context": context, "--kubeconfig": kubeconfig}.items():
        if value is not None:
            raise typer.BadParameter(f"{flag} is of a cluster: add --kubernetes")
    return None
