"""What `kato apply` and `kato delete` do and print, and `kato demo` with them (spec: cli.md).

Kept apart from the commands: the manifest models behind `reconcile` cost 0.2 s that the other commands need not wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from kato_cli.here import machine
from kato_cli.terminal import err, notice, say
from kato_operator.local import asked as wishes
from kato_operator.local import reconcile
from kato_operator.local.home import Home
from kato_operator.local.plan import Line
from kato_operator.local.reconcile import Outcome


def apply(files: Sequence[str], *, prune: bool = False) -> Outcome:
    """Apply the files, print a verdict per object, and return what became of them."""
    here = machine()
    with err().status("applying ..."):
        outcome = reconcile.apply(here, files, prune=prune)
    _report(here.home, outcome)
    return outcome


def delete(files: Sequence[str]) -> None:
    """Delete what the files name, and print a verdict per object."""
    here = machine()
    with err().status("deleting ..."):
        outcome = reconcile.delete(here, files)
    _report(here.home, outcome)
    if not outcome.lines:
        notice("nothing of these files was here")


def _report(home: Home, outcome: Outcome) -> None:
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
    moved = instance.api_port != wanted and line.verdict == "created"
    return instance.url + (f", port {wanted} was taken" if moved else "")
