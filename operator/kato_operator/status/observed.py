"""What was seen of one processor, in one value: the input of its status.

Put together by `reconcile`, read by the other modules of this room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kato_spec.errors import Rejected
from kato_spec.records import StateRecord

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps the operator from doing what is asked: `reason` is one word, `message` names field and value."""

    reason: str
    message: str

    @classmethod
    def of(cls, error: Rejected) -> Problem:
        """Return the problem that a refusal is; one of the API server brings its own reason."""
        return cls(str(getattr(error, "reason", "InvalidSpec")), str(error))


@dataclass(frozen=True, slots=True)
class Sight:
    """What one pod said about itself, or why it could not be asked; `store` is the one that it cannot reach."""

    pod: str
    state: StateRecord | None
    error: str = ""
    store: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """A processor's children and pods as they are.

    `replicas`: pods wanted now; `claim`: None when there is no volume to wait for; `problems`: what is not as asked
    for; `waits`: what passes by itself; `sights`: one for each ready pod; `ailing`: where none is
    ready, one for each that runs.
    """

    uid: str
    generation: int
    suspended: bool
    replicas: int
    deployment: Manifest | None
    pods: Sequence[Manifest]
    claim: Manifest | None
    problems: Sequence[Problem]
    waits: Sequence[Problem]
    sights: Sequence[Sight]
    ailing: Sequence[Sight] = ()


def ready(pod: Manifest) -> bool:
    """Say whether a pod is ready and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    found = pod_condition(pod, "Ready")
    return found is not None and found["status"] == "True"


def pod_condition(pod: Manifest, kind: str) -> Manifest | None:
    """Return a pod's condition of a type, or None."""
    known: Sequence[Manifest] = pod.get("status", {}).get("conditions") or ()
    return next((condition for condition in known if condition["type"] == kind), None)
