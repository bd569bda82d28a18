"""This user's machine, as every command sees it.

Called by the commands; the one place of the command line that reads `KATO_HOME`.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import typer

from kato_cli.place import Cluster
from kato_cli.terminal import notice
from kato_operator.local import asked as wishes
from kato_operator.local.home import Home
from kato_operator.local.machine import Machine
from kato_operator.local.registry import Instances

if TYPE_CHECKING:
    from kato_client import KatoClient


def machine() -> Machine:
    """Return this machine with the home that the environment names."""
    return Machine(Home.from_environment(), notice)


def known(here: Machine, instances: Instances, reference: str) -> str:
    """Return the ID that `reference` means: of one that runs, or of one that ran here before.

    Raises:
        Rejected: neither; or several have that name.
    """
    if reference not in instances and here.home.known(reference):
        return reference
    return here.find(reference)[0]


def chosen(here: Machine, references: list[str] | None, *, everything: bool) -> list[str]:
    """Return the IDs that a command line means, each once: those it names, or with --all every one that runs.

    Raises:
        typer.BadParameter: it names none without --all, or some with it.
        Rejected: as `known`.
    """
    if bool(references) == everything:
        raise typer.BadParameter("name the instances, or give --all")
    instances = here.running()
    return (
        sorted(instances) if everything else [*dict.fromkeys(known(here, instances, one) for one in references or [])]
    )


def cluster() -> ModuleType:
    """Return `remote`, which brings the Kubernetes client: no command of this machine should wait for that."""
    try:
        from kato_cli import remote  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        notice(f"a cluster needs {error.name}, which is not installed: pip install 'kato-operator[operator]'")
        raise typer.Exit(1) from error
    return remote


def client(reference: str, there: Cluster | None = None, *, timeout: float = 60.0) -> tuple[str, KatoClient]:
    """Return the ID of the instance that `reference` names, on this machine or `there`, and a client of its API.

    `timeout` is in seconds, for one attempt.

    Raises:
        Rejected: nothing of that name runs, or several do.
    """
    if there:
        found: tuple[str, KatoClient] = cluster().client(reference, there, timeout)
        return found
    from kato_client import KatoClient  # noqa: PLC0415 - brings httpx, which no other command should wait for

    here = machine()
    instance_id, instance = here.find(reference)
    token = wishes.load(here.home, instance_id).tokens.partition(",")[0]
    return instance_id, KatoClient(instance.url, token=token or None, timeout=timeout)
