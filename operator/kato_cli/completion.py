"""What a shell may complete beside commands and options: the instances of this machine, or those of a cluster.

Called by the shell's completion through `options`. It never fails and prints nothing: a half-typed line is no place
for an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from kato_cli.place import Cluster
from kato_operator.local.home import Home
from kato_operator.local.machine import Machine
from kato_spec.errors import KatoError


def running(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return ID and name of the instances that run where the command would act and whose ID begins as typed."""
    found = _on_a_cluster(context.params) if context.params.get("kubernetes") else _here()
    return [(key, name) for key, name in found if key.startswith(incomplete)]


def _on_a_cluster(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and display name of the processors in the namespace that the line so far means."""
    from kato_cli import remote  # noqa: PLC0415 - for those alone who are on a cluster

    cluster = Cluster(given.get("namespace"), given.get("context"), given.get("kubeconfig"))
    try:
        with remote.processors(cluster) as there:
            listed = there.listing()
    except (KatoError, OSError):
        return []
    return [(one["metadata"]["name"], one["spec"].get("displayName", "")) for one in listed]


def _here() -> list[tuple[str, str]]:
    """Return ID and name of the instances that run on this machine."""
    home = Home.from_environment()
    if not home.root.exists():
        return []
    try:
        instances = Machine(home, lambda _: None).running()
    except (KatoError, OSError):
        return []
    return [(key, entry.name) for key, entry in sorted(instances.items())]


def known(context: typer.Context, incomplete: str) -> list[str]:
    """Return the IDs that begin as typed, of every instance that was ever started there."""
    if context.params.get("kubernetes"):
        return [key for key, _ in running(context, incomplete)]
    data = Home.from_environment().data("")
    return sorted(path.name for path in data.glob("*") if path.is_dir() and path.name.startswith(incomplete))
