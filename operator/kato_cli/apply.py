"""`kato apply` and `kato delete`: the machine becomes what manifests say (spec: cli.md)."""

from __future__ import annotations

from typing import Annotated

import typer

from kato_cli.options import Files


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


def delete(file: Files) -> None:
    """Stop what manifests name and forget their configuration.

    The memory is kept for the next apply, except where a manifest says deletionPolicy: Delete.
    """
    from kato_cli import verdicts  # noqa: PLC0415 - as in apply

    verdicts.delete(file)
