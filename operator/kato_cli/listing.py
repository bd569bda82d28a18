"""`kato list`, `kato status` and `kato logs`: what runs here, and how it is (spec: cli.md)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from kato_cli import completion, views
from kato_cli.here import cluster, known, machine
from kato_cli.options import ListForm, Output
from kato_cli.place import Cluster, on_either
from kato_cli.terminal import columns, dump, facts, notice, say
from kato_operator.local.machine import UnknownInstance

_FOLLOW_SECONDS = 0.2


@on_either
def list_instances(
    output: Annotated[
        ListForm | None,
        typer.Option(
            "--output", "-o", help="wide adds columns; json and yaml are for programs; name prints IDs alone."
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", "-w", help="Go on showing what changes, until Ctrl-C; with -o json, one object a line."
        ),
    ] = False,
    there: Cluster | None = None,
) -> None:
    """List the instances, here or on a cluster.

    A registry that is missing or damaged is rebuilt from the running processes; what is gone is dropped.
    """
    if there:
        if watch:
            raise typer.BadParameter("`kubectl get katoprocessors --watch` watches a cluster")
        cluster().listing(there, output)
        return
    here = machine()
    if watch:
        from kato_cli.watching import watch as follow  # noqa: PLC0415 - Rich's Live, for no other listing

        follow(here, output)
        return
    if output == "name":
        for instance_id in sorted(here.running()):
            say(instance_id)
        return
    found = views.views(here)
    if output in ("json", "yaml"):
        dump({"instances": {view.pop("id"): view for view in found}}, output)
    elif not found:
        notice("nothing runs: `kato start` or `kato apply -f FILE` starts an instance")
    else:
        wide = output == "wide"
        columns(views.head(wide=wide), [views.row(view, wide=wide) for view in found])


@on_either
def status(
    instance: Annotated[
        str,
        typer.Argument(metavar="ID|NAME", help="An instance, running or stopped.", autocompletion=completion.known),
    ],
    there: Cluster | None = None,
    output: Output = None,
) -> None:
    """Show one instance: its address, memory and configuration.

    Of one that is stopped, what is kept of it.
    """
    if there:
        cluster().status(instance, there, output)
        return
    here = machine()
    view = views.detailed(here, known(here, here.running(), instance))
    if output:
        dump(view, output)
    else:
        facts(views.told(view))


@on_either
def logs(
    instance: Annotated[
        str, typer.Argument(metavar="ID|NAME", help="An instance, running or stopped.", autocompletion=completion.known)
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until Ctrl-C.")] = False,
    tail: Annotated[int | None, typer.Option(min=0, help="Begin with the last so many lines.")] = None,
    there: Cluster | None = None,
) -> None:
    """Print what an instance wrote."""
    if there:
        cluster().logs(instance, there, follow=follow, tail=tail)
        return
    here = machine()
    log = here.home.log(known(here, here.running(), instance))
    if not log.exists():
        raise UnknownInstance(instance, f"{instance} has never been started here")
    read = _print_log(log, 0, tail)
    while follow:
        time.sleep(_FOLLOW_SECONDS)
        read = _print_log(log, read, None)


def _print_log(log: Path, begin: int, tail: int | None) -> int:
    """Print the log from byte `begin` on, or its last lines; return where it ended. A log that shrank begins anew."""
    with log.open("rb") as file:
        file.seek(begin if begin <= log.stat().st_size else 0)
        lines = file.read().decode(errors="replace").splitlines()
        for line in lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]:
            say(line)
        return file.tell()
