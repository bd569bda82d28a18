"""`kato delete --data`: the memory of a stopped instance goes for good, after asking (spec: cli.md, "Memory")."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from kato_cli.here import machine
from kato_cli.terminal import say
from kato_operator.local.machine import Machine, UnknownInstance


def remove(instance_ids: Sequence[str], *, sure: bool) -> None:
    """Remove these memories; all are checked before any is touched.

    Raises:
        Rejected: one runs, or was never here.
        typer.BadParameter: nobody can be asked, and `sure` is not given.
    """
    here = machine()
    running = here.running()
    for instance_id in instance_ids:
        if instance_id in running:
            raise UnknownInstance(instance_id, f"{instance_id} runs: `kato stop {instance_id}` first")
        if not here.home.known(instance_id):
            raise UnknownInstance(instance_id, f"no memory of {instance_id!r} here; there is: {_kept(here)}")
    if not sure and not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: add --yes to remove the memory for good")
    for instance_id in dict.fromkeys(instance_ids):
        where = here.home.data(instance_id)
        if sure or typer.confirm(f"Remove {where} and all that {instance_id} learned?", err=True):
            here.remove_memory(instance_id)
            say(f"{instance_id}: memory removed")
        else:
            say(f"{instance_id}: memory kept")


def _kept(here: Machine) -> str:
    kept = sorted(path.name for path in here.home.data("").glob("*") if path.is_dir())
    return ", ".join(kept) or "none"
