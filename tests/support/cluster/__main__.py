"""The cluster from the command line, for the Makefile: `python -m tests.support.cluster up|load|exec|status|down`."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from tests.support.cluster import find, images, neighbours, parts, runs
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.local import LocalCluster
from tests.support.cluster.progress import say
from tests.support.stores.server import StoresError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Name = Annotated[str, typer.Option(help="the cluster's name")]
DEFAULT = "dev"


@app.command()
def prepare() -> None:
    """Build all that is built once: the parts of a node, the images, a linter of charts."""
    find.prepare()
    images.project_images()
    neighbours.nginx_image()
    neighbours.store_images()
    parts.program("kube-score")


@app.command()
def up(name: Name = DEFAULT) -> None:
    """Raise a cluster and leave it running."""
    if find.named() is not None:
        say(f"{find.NAMED} names the cluster: raising and ending it is left to whoever runs it")
        return
    find.require()
    runs.sweep()
    if runs.find(name) is not None:
        say(f"cluster {name} is up already")
        return
    cluster = find.raise_cluster(name)
    if isinstance(cluster, LocalCluster | find.KindCluster):
        runs.keep(cluster.at)


@app.command()
def load(name: Name = DEFAULT) -> None:
    """Build the project's images and bring them onto the cluster's node."""
    cluster = find.attach(name)
    for image in images.project_images():
        cluster.load(image)


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def execute(command: list[str], name: Name = DEFAULT) -> None:
    """Run a command with KUBECONFIG set, where the cluster, its pods and its services can be reached."""
    argv = find.attach(name).command(command)
    os.execvp(argv[0], argv)  # noqa: S606 - the command is the user's own


@app.command()
def status() -> None:
    """List the clusters there are."""
    for run in runs.every():
        state = "left running" if not runs.is_owned(run) else "in use"
        sys.stdout.write(f"{run.name}  {run.record().kind}  {state}  {run.kubeconfig}\n")


@app.command()
def down(name: Name = DEFAULT) -> None:
    """End a cluster, and what dead runs left."""
    runs.sweep()
    run = runs.find(name)
    if run is None:
        say(f"there is no cluster {name}")
        return
    runs.end(run)
    say(f"cluster {name} is gone")


def interrupted(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an exception, so that what was begun is undone."""
    sys.exit(128 + number)


def main() -> None:
    """Run the command line; what cannot be done is one line and exit code 1."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        app()
    except (ClusterError, StoresError) as error:
        say(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
