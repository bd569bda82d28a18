"""`kato apply` and `kato delete`: the machine becomes what manifests say (spec: cli.md)."""

from __future__ import annotations

from typing import Annotated

import typer

from kato_cli import completion
from kato_cli.options import FILE, Files


def apply(
    file: Files,
    prune: Annotated[
        bool, typer.Option("--prune", help="Stop what came from the same file before and is no longer in it.")
    ] = False,
) -> None:
    """Bring this machine to what manifests say.

    Manifests are KatoProcessors, KatoSessions, Secrets that they name, and the older instance files. Nothing is
    started when any document is invalid; every error is listed with file, line and field. A second apply of the same
    files changes nothing. Parameters change without a restart.
    """
    from kato_cli import verdicts  # noqa: PLC0415 - the manifest models, which no other command should wait for

    verdicts.apply(file, prune=prune)


def delete(
    file: Annotated[list[str] | None, FILE] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="ID",
            help="Remove the memory of this instance, which must not run: everything it ever learned.",
            autocompletion=completion.known,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --data removes a memory.")] = False,
) -> None:
    """Stop what manifests name, or remove a memory.

    By -f instances stop and their configuration is forgotten; their memory is kept for the next apply, except where a
    manifest says deletionPolicy: Delete. By --data the memory of a stopped instance is gone for good; on a terminal you
    are asked first, elsewhere --yes is needed.
    """
    if bool(file) == bool(data):
        raise typer.BadParameter("name manifests by -f, or memories to remove by --data ID")
    if data:
        from kato_cli import memories  # noqa: PLC0415 - as below

        memories.remove(data, sure=yes)
    else:
        from kato_cli import verdicts  # noqa: PLC0415 - as in apply

        verdicts.delete(file or [])
