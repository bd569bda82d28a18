"""`kato stop`: instances end, their memory stays (spec: cli.md)."""

from __future__ import annotations

from typing import Annotated

import typer

from kato_cli.here import machine
from kato_cli.terminal import err, notice, say
from kato_operator.local.machine import Machine


def stop(
    instances: Annotated[
        list[str] | None, typer.Argument(metavar="ID|NAME", help="Instances to stop.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Stop every instance of this machine.")] = False,
) -> None:
    """Stop instances. Their memory is kept, and found again when they are started again."""
    if bool(instances) == everything:
        raise typer.BadParameter("name the instances to stop, or give --all")
    here = machine()
    wanted = [*here.running()] if everything else [_resolved(here, reference) for reference in instances or []]
    with err().status("stopping ..."):
        stopped = here.stop(wanted)
    for instance_id in dict.fromkeys(wanted):
        word = "stopped" if instance_id in stopped else "was stopped already"
        say(f"{instance_id} {word} (memory kept in {here.home.data(instance_id)})")
    if not wanted:
        notice("nothing runs")


def _resolved(here: Machine, reference: str) -> str:
    """Return the ID; one that has run here before is known though it runs no more."""
    if reference not in here.running() and here.home.known(reference):
        return reference
    return here.find(reference)[0]
