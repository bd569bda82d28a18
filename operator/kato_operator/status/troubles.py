"""What keeps a processor's pods from running, read from the pods, the volume claim and the Deployment.

Called by `processor`; each trouble becomes the reason of `Ready=False` (spec: operator.md, "What keeps a pod from
running").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kato_operator.status.observed import Manifest, Observed, Problem, pod_condition

# Reasons for which a container waits that are no trouble, for they pass.
PASSING: Final = frozenset({"ContainerCreating", "PodInitializing"})
# Words of the kubelet -> the word of the condition, where one trouble has several.
SAME: Final = {
    "ErrImagePull": "ImagePullBackOff",
    "CreateContainerConfigError": "ConfigMissing",
    "CreateContainerError": "ContainerNotCreated",
    "RunContainerError": "ContainerNotCreated",
}


def trouble(observed: Observed) -> Problem | None:
    """Return the first trouble there is, the one nearest to its cause, or None."""
    return next(_troubles(observed), None)


def _troubles(observed: Observed) -> Iterator[Problem]:
    """Yield every trouble of the pods that are to stay."""
    pods = [pod for pod in observed.pods if not pod["metadata"].get("deletionTimestamp")]
    for pod in pods:
        yield from _of_containers(pod)
    for pod in pods:
        yield from _of_scheduling(pod, observed.claim)
    yield from _of_deployment(observed.deployment)


def _of_containers(pod: Manifest) -> Iterator[Problem]:
    """Yield what the kubelet says of the containers."""
    name = pod["metadata"]["name"]
    for container in pod.get("status", {}).get("containerStatuses") or ():
        waiting = container.get("state", {}).get("waiting") or {}
        last = container.get("lastState", {}).get("terminated") or {}
        # One that was started again and is not ready yet has not got over its end.
        ended = container.get("state", {}).get("terminated") or ({} if container.get("ready") else last)
        reason = waiting.get("reason")
        if reason and reason not in PASSING:
            said = waiting.get("message") or reason
            yield Problem(SAME.get(reason, reason), f"pod {name}: {said}{_exit(last)}")
        elif ended and ended.get("exitCode"):
            yield Problem("ContainerExited", f"pod {name}: the service ended{_exit(ended)}")
    if pod.get("status", {}).get("phase") == "Failed":
        status = pod["status"]
        yield Problem(status.get("reason") or "PodFailed", f"pod {name}: {status.get('message') or 'failed'}")


def _exit(terminated: Manifest) -> str:
    """Return how a container ended, in words, or nothing when it did not."""
    if not terminated:
        return ""
    said = terminated.get("message") or terminated.get("reason") or ""
    return f" (exit code {terminated.get('exitCode')}{': ' if said else ''}{said.strip()})"


def _of_scheduling(pod: Manifest, claim: Manifest | None) -> Iterator[Problem]:
    """Yield what the scheduler says; while the claim has no volume, that is the trouble."""
    scheduled = pod_condition(pod, "PodScheduled")
    if scheduled is None or scheduled["status"] != "False" or scheduled.get("reason") == "SchedulingGated":
        return
    name, said = pod["metadata"]["name"], scheduled.get("message") or "it cannot be placed"
    if claim is not None and claim.get("status", {}).get("phase") != "Bound":
        yield Problem("VolumeNotBound", f"volume claim {claim['metadata']['name']} has no volume; pod {name}: {said}")
    yield Problem("Unschedulable", f"pod {name}: {said}")


def _of_deployment(deployment: Manifest | None) -> Iterator[Problem]:
    """Yield why pods cannot even be made: a quota, an admission rule."""
    known = (deployment or {}).get("status", {}).get("conditions") or ()
    for condition in known:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            said = str(condition.get("message", ""))
            quota = "exceeded quota" in said
            yield Problem("QuotaExceeded" if quota else condition.get("reason", "ReplicaFailure"), said)
