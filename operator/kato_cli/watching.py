"""`kato list --watch`: the listing, kept up to date until Ctrl-C (spec: cli.md, `kato list`).

On a terminal the table is drawn anew in place. Elsewhere every instance that changed is printed, as kubectl does, so
that a script reads what happened in order; one that is gone is shown once more, its status "gone".
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping

from rich.live import Live
from rich.text import Text

from kato_cli.terminal import out, say, table
from kato_cli.views import View, head, row, views
from kato_operator.local.api_yaml import dumped
from kato_operator.local.machine import Machine

_SECONDS = 1.0


def watch(here: Machine, output: str | None) -> None:
    """Show the instances and what changes about them; never returns."""
    if output in (None, "wide") and out().is_terminal:
        _redraw(here, wide=output == "wide")
    before: dict[str, View] = {}
    begun = False
    while True:
        now = {view["id"]: view for view in views(here)}
        changed = list(changes(before, now))
        if output in (None, "wide"):
            lines = table(head(wide=output == "wide"), [row(view, wide=output == "wide") for view in changed])
            changed_lines = lines.splitlines()[1 if begun else 0 :]
        else:
            changed_lines = [_written(view, output) for view in changed]
        if changed_lines and (changed or not begun):
            say("\n".join(changed_lines))
            begun = True
        before = now
        time.sleep(_SECONDS)


def changes(before: Mapping[str, View], now: Mapping[str, View]) -> Iterator[View]:
    """Yield what is new or differs in more than its age, then what is gone."""
    for key, view in now.items():
        if key not in before or _lasting(before[key]) != _lasting(view):
            yield view
    for key in before.keys() - now.keys():
        yield {**before[key], "status": "gone"}


def _lasting(view: View) -> View:
    return {key: value for key, value in view.items() if key not in {"age_seconds", "updated"}}


def _redraw(here: Machine, *, wide: bool) -> None:
    with Live(console=out(), auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            text = table(head(wide=wide), [row(view, wide=wide) for view in views(here)])
            live.update(Text.from_ansi(text, no_wrap=True, overflow="crop"), refresh=True)
            time.sleep(_SECONDS)


def _written(view: View, output: str | None) -> str:
    """Write one instance for a program: JSON on a line of its own, a YAML document, or its ID."""
    if output == "name":
        return str(view["id"])
    if output == "yaml":
        return "---\n" + dumped(view)
    return json.dumps(view, ensure_ascii=False)
