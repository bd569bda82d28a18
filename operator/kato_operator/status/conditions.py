"""Conditions as `metav1.Condition`: put together, and carried over from the status before.

Used by the status of both kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Truth = Literal["True", "False", "Unknown"]
MESSAGE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition without its history: `reason` is one word, `message` for a person to read."""

    type: str
    status: Truth
    reason: str
    message: str = ""


def conditions(
    findings: Iterable[Finding], before: Sequence[Mapping[str, Any]], *, generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Return the findings as conditions; the transition time moves with the status alone."""
    known = {condition["type"]: condition for condition in before}
    return [_condition(finding, known.get(finding.type), generation, now) for finding in findings]


def _condition(finding: Finding, before: Mapping[str, Any] | None, generation: int, now: datetime) -> dict[str, Any]:
    """Return one finding as a condition."""
    same = before is not None and before["status"] == finding.status
    return {
        "type": finding.type,
        "status": finding.status,
        "reason": finding.reason,
        "message": finding.message[:MESSAGE_MAX],
        "lastTransitionTime": before["lastTransitionTime"] if before is not None and same else timestamp(now),
        "observedGeneration": generation,
    }


def with_finding(status: Mapping[str, Any], finding: Finding, *, generation: int, now: datetime) -> dict[str, Any]:
    """Return `status` with one condition replaced and all else as it was."""
    known = status.get("conditions", ())
    others = [condition for condition in known if condition["type"] != finding.type]
    return {**status, "conditions": [*others, *conditions([finding], known, generation=generation, now=now)]}


def timestamp(moment: datetime) -> str:
    """Return a moment as Kubernetes writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def truth(value: bool) -> Truth:
    """Return a condition's word for `value`."""
    return "True" if value else "False"


def find(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return the condition of a type in a status, or None."""
    return next((condition for condition in status.get("conditions", ()) if condition["type"] == kind), None)
