"""`kato apply` and `kato delete`: the machine becomes what manifests say (spec: cli.md)."""

from __future__ import annotations

from typing import Annotated

import typer

from kato_cli.here import machine
from kato_cli.options import Files
from kato_cli.terminal import err, notice, say
from kato_operator.local import asked as wishes
from kato_operator.local.home import Home
from kato_operator.local.plan import Line
from kato_operator.local.reconcile import Outcome
from kato_operator.local.reconcile import apply as reconcile_apply
from kato_operator.local.reconcile import delete as reconcile_delete


def apply(
    file: Files,
    prune: Annotated[
        bool, typer.Option("--prune", help="Stop what came from the same file before and is no longer in it.")
    ] = False,
) -> None:
    """Bring this machine to what manifests say: KatoProcessor, KatoSession, Secrets they name, and instance files.

    Nothing is started when any document is invalid; every error is listed with file, line and field. A second apply
    of the same files changes nothing. Parameters change without a restart.
    """
    here = machine()
    with err().status("applying ..."):
        outcome = reconcile_apply(here, file, prune=prune)
    report(here.home, outcome)


def delete(file: Files) -> None:
    """Stop what manifests name and forget their configuration.

    The memory is kept for the next apply, except where a manifest says deletionPolicy: Delete.
    """
    here = machine()
    with err().status("deleting ..."):
        outcome = reconcile_delete(here, file)
    report(here.home, outcome)
    if not outcome.lines:
        notice("nothing of these files was here")


def report(home: Home, outcome: Outcome) -> None:
    """Print a verdict per object as kubectl does, with the address that an instance got and the ID of a session."""
    for line in outcome.lines:
        detail = line.detail or (_session(line, outcome) if line.is_session else _address(home, line, outcome))
        say(f"{line.label} {line.verdict}" + (f" ({detail})" if detail else ""))
    for note in outcome.notes:
        notice(note)


def _session(line: Line, outcome: Outcome) -> str:
    bound = outcome.sessions.get(line.name)
    if bound is None:
        return ""
    return f"session {bound.session_id}" if bound.phase == "Active" else bound.phase.lower()


def _address(home: Home, line: Line, outcome: Outcome) -> str:
    if line.instance not in outcome.instances:
        return ""
    instance, wanted = outcome.instances[line.instance], wishes.load(home, line.instance).port
    return instance.url + ("" if instance.api_port == wanted else f", port {wanted} was taken")
