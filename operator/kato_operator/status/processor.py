"""The status of a KatoProcessor, from what was observed.

Called by `reconcile` at the end of its story (spec: operator.md, KatoProcessor, "Status").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from kato_operator.status.conditions import Finding, conditions, find, truth
from kato_operator.status.observed import Observed, Problem, ready
from kato_operator.status.troubles import trouble
from kato_spec.records import StateRecord

# Refreshed at most every 30 s; all else is written when it changes.
COUNTERS = frozenset({"patterns", "activeSessions"})


def processor_status(
    observed: Observed, before: Mapping[str, Any], about: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return the status; `before` is the one that stands, `about` what does not depend on pods (endpoint, storage).

    Counts that no pod could be asked for stay as they were.
    """
    status = (observed.deployment or {}).get("status", {})
    states = [sight.state for sight in observed.sights if sight.state]
    counts = {name: before[name] for name in COUNTERS if name in before}
    if states:
        counts["patterns"] = max(state.patterns for state in states)
        counts["activeSessions"] = max(state.active_sessions for state in states)
    return {
        "observedGeneration": observed.generation,
        "replicas": status.get("replicas", 0),
        "readyReplicas": status.get("readyReplicas", 0),
        **about,
        **counts,
        "conditions": conditions(
            _findings(observed, before), before.get("conditions", ()), generation=observed.generation, now=now
        ),
    }


def _findings(observed: Observed, before: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield every condition of a processor."""
    hindrance = trouble(observed)
    settled = _settled(observed)
    yield _ready(observed, hindrance, before, settled=settled)
    yield _progressing(observed, settled=settled)
    yield _degraded([*observed.problems, *([hindrance] if hindrance else [])])
    yield _store_reachable(observed, hindrance)
    yield _parameters_live(observed)


def _settled(observed: Observed) -> bool:
    """Say whether the Deployment has done all that was asked of it."""
    deployment = observed.deployment
    if deployment is None or deployment["metadata"].get("deletionTimestamp"):
        return False
    status = deployment.get("status", {})
    return (
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and deployment["spec"].get("replicas") == observed.replicas
        and all(status.get(name, 0) == observed.replicas for name in ("replicas", "updatedReplicas", "readyReplicas"))
    )


def _ready(observed: Observed, hindrance: Problem | None, before: Mapping[str, Any], *, settled: bool) -> Finding:
    """Ready: every pod that is wanted runs as wanted and answers."""
    conflict = next((problem for problem in observed.problems if problem.reason == "NameConflict"), None)
    if conflict:
        return Finding("Ready", "False", conflict.reason, conflict.message)
    if observed.replicas == 0:
        reason, why = ("Suspended", "spec.suspend is true") if observed.suspended else ("NoReplicas", "replicas is 0")
        return Finding("Ready", "False", reason, f"{why}: no pod runs, memory and sessions are kept")
    if settled:
        return Finding("Ready", "True", "PodsReady", _count(observed))
    away = _store_away(observed)
    known = [*([hindrance] if hindrance else []), *([away] if away else []), *observed.problems, *observed.waits]
    cause = next(iter(known), None)
    if cause:
        return Finding("Ready", "False", cause.reason, cause.message)
    reason = "RollingOut" if _is_rolling_out(observed, before) else "PodsNotReady"
    return Finding("Ready", "False", reason, _count(observed))


def _is_rolling_out(observed: Observed, before: Mapping[str, Any]) -> bool:
    """Say whether pods that are not ready are those that were asked for anew, rather than lost.

    Either stays so until all are ready, unless the Deployment gives up: later on, counts cannot tell the two apart.
    """
    deployment, was = observed.deployment, find(before, "Ready")
    if deployment is None or was is None or was["reason"] == "PodsNotReady":
        return False
    status = deployment.get("status", {})
    progress = next((item for item in status.get("conditions") or () if item["type"] == "Progressing"), None)
    if progress is not None and progress["status"] == "False":
        return False
    behind = status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0)
    lost = status.get("readyReplicas", 0) < min(before.get("readyReplicas", 0), observed.replicas)
    changed = before.get("observedGeneration", 0) < observed.generation
    return was["reason"] == "RollingOut" or changed or behind or not lost


def _count(observed: Observed) -> str:
    """Return how many pods are ready, in words."""
    there = (observed.deployment or {}).get("status", {}).get("readyReplicas", 0)
    return f"{there} of {observed.replicas} pods ready"


def _progressing(observed: Observed, *, settled: bool) -> Finding:
    """Progressing: pods are being made or replaced."""
    if settled:
        return Finding("Progressing", "False", "Suspended" if observed.suspended else "UpToDate", _count(observed))
    if observed.waits:
        return Finding("Progressing", "True", observed.waits[0].reason, observed.waits[0].message)
    return Finding("Progressing", "True", "RollingOut", _count(observed))


def _degraded(problems: list[Problem]) -> Finding:
    """Degraded: something is not as asked for, and will not be by waiting alone."""
    if not problems:
        return Finding("Degraded", "False", "AsWanted")
    return Finding("Degraded", "True", problems[0].reason, "; ".join(problem.message for problem in problems))


def _store_reachable(observed: Observed, hindrance: Problem | None) -> Finding:
    """StoreReachable: a pod is ready, which it is not without its store; where none is, those that run are asked."""
    away = _store_away(observed)
    if away:
        return Finding("StoreReachable", "False", away.reason, away.message)
    if any(map(ready, observed.pods)):
        return Finding("StoreReachable", "True", "Reachable")
    if hindrance and hindrance.reason == "VolumeNotBound":
        return Finding("StoreReachable", "False", hindrance.reason, hindrance.message)
    return Finding("StoreReachable", "Unknown", "NoReadyPod", "no ready pod to ask")


def _store_away(observed: Observed) -> Problem | None:
    """Return that a store is away, when pods say so and none serves."""
    sights = [*observed.sights, *observed.ailing]
    cut_off = next((sight for sight in sights if sight.store), None)
    if cut_off is None or any(sight.state for sight in sights):
        return None
    return Problem("StoreUnavailable", cut_off.error)


def _parameters_live(observed: Observed) -> Finding:
    """ParametersLive: every ready pod works with the parameters of this generation."""
    if not any(map(ready, observed.pods)):
        return Finding("ParametersLive", "Unknown", "NoReadyPod", "no ready pod to ask")
    silent = next((sight for sight in observed.sights if sight.state is None), None)
    if silent:
        return Finding("ParametersLive", "False", "PodUnreachable", f"pod {silent.pod}: {silent.error}")
    live = [sight for sight in observed.sights if is_live(sight.state, observed.uid, observed.generation)]
    message = f"live on {len(live)} of {len(observed.sights)} pods"
    done = bool(live) and len(live) == len(observed.sights)
    return Finding("ParametersLive", truth(done), "Live" if done else "Pending", message)


def is_live(state: StateRecord | None, uid: str, generation: int) -> bool:
    """Say whether a pod works with the parameters of this object at this generation or a later one."""
    if state is None or state.parameters_uid != uid:
        return False
    return state.parameters_generation is not None and state.parameters_generation >= generation
