"""Which transitions between two statuses are worth an Event.

Called by `reconcile` before a status is written (spec: operator.md, "Events only on transitions").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kato_operator.status.conditions import find

# Condition -> the status that is good.
GOOD = {"Ready": "True", "Bound": "True", "Degraded": "False", "Expired": "False"}
# What is bad at first and becomes good: told when it does.
GROWING = frozenset({"Ready", "Bound"})
# Reasons of a bad condition that someone asked for.
ASKED_FOR = frozenset({"Suspended", "NoReplicas", "RollingOut", "TimeToLiveOver"})


@dataclass(frozen=True, slots=True)
class Transition:
    """What is told: `reason` is one word, `note` for a person to read."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


def transitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Transition]:
    """Yield what became different in kind: a condition that turned, or one that is bad for another reason."""
    told: set[str] = set()
    for kind in ("Degraded", "Expired", "Bound", "Ready"):
        old, new = find(before, kind), find(after, kind)
        if new is None or new["status"] == "Unknown" or _standing(old, kind) == _standing(new, kind):
            continue
        good = new["status"] == GOOD[kind]
        if old is None and good is (kind not in GROWING):
            continue
        if good:
            yield Transition("Normal", "Recovered" if kind == "Degraded" else kind, new.get("message") or kind)
        elif new["reason"] not in told:
            told |= {new["reason"], kind}
            warn = new["reason"] not in ASKED_FOR
            yield Transition("Warning" if warn else "Normal", new["reason"], new.get("message") or new["reason"])


def _standing(condition: Mapping[str, Any] | None, kind: str) -> str | None:
    """Return what is compared: that a condition is good, or why it is not."""
    if condition is None:
        return None
    return "good" if condition["status"] == GOOD[kind] else str(condition["reason"])
