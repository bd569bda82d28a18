"""The status of a KatoSession, from what its processor's pod says of it.

Called by `reconcile` (spec: operator.md, KatoSession, "Status").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kato_operator.status.conditions import Finding, conditions, timestamp, truth
from kato_operator.status.observed import Problem
from kato_spec.records import DeclaredSession

# Refreshed at most every 30 s; all else is written when it changes.
COUNTERS = frozenset({"lastActivity", "expiresAt", "stmLength"})

# What a status keeps saying while no pod can be asked.
KNOWN = ("sessionId", "createdAt", "expiresAt", "lastActivity", "stmLength", "url")


@dataclass(frozen=True, slots=True)
class SessionView:
    """A KatoSession as it is.

    `declared`: what the pod says; `hindrance`: why it is not bound or cannot be used now; `orphan`: whether its
    processor is gone, and the session with it; `over`: it has expired, though no pod could be asked.
    """

    generation: int
    user_id: str
    endpoint: str | None
    declared: DeclaredSession | None
    hindrance: Problem | None
    orphan: bool = False
    over: bool = False


def session_status(view: SessionView, before: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the status; what no pod could be asked for stays as it was in `before`."""
    seen = _seen(view, before)
    findings = _findings(view, seen)
    return {
        "observedGeneration": view.generation,
        "userId": view.user_id,
        **seen,
        "conditions": conditions(findings, before.get("conditions", ()), generation=view.generation, now=now),
    }


def _seen(view: SessionView, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of the session itself."""
    declared = view.declared
    if declared is None and view.orphan and before.get("phase") != "Expired":
        return {"phase": "Pending"}
    known = {name: before[name] for name in KNOWN if name in before}
    if declared is None:
        return {"phase": "Expired" if view.over else before.get("phase", "Pending"), **known}
    moments = {
        "createdAt": declared.created_at,
        "expiresAt": declared.expires_at,
        "lastActivity": declared.last_activity,
    }
    # Of a session that has expired the pod knows no times any more.
    seen = {**known, "phase": declared.phase, "stmLength": declared.stm_length}
    seen |= {name: timestamp(moment) for name, moment in moments.items() if moment}
    if declared.session_id:
        seen["sessionId"] = declared.session_id
        seen["url"] = f"{view.endpoint}/sessions/{declared.session_id}"
    return seen


def _findings(view: SessionView, seen: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield every condition of a session."""
    expired = seen["phase"] == "Expired"
    hindrance = view.hindrance
    if "sessionId" in seen:
        yield Finding("Bound", "True", "Bound", f"session {seen['sessionId']}")
    elif hindrance:
        yield Finding("Bound", "False", hindrance.reason, hindrance.message)
    else:
        yield Finding("Bound", "False", "NotMadeYet", "declared; the processor has not made the session yet")
    if expired:
        yield Finding("Ready", "False", "Expired", "its time to live is over")
    elif hindrance:
        yield Finding("Ready", "False", hindrance.reason, hindrance.message)
    else:
        active = seen["phase"] == "Active"
        yield Finding("Ready", truth(active), seen["phase"])
    yield Finding("Expired", truth(expired), "TimeToLiveOver" if expired else "NotExpired")
