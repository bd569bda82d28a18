"""Everything by which the pods of a processor are replaced, one function each. Called by tests/operator."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from tests.support.cluster.cluster import CommandFailed
from tests.support.cluster.images import project
from tests.support.eventually import eventually
from tests.support.operator.space import PATIENCE, Json, Space

PODS = 2  # of the processor, before and after each rollout
IMAGE = f"kato-service:{project()['version']}"
IMAGES = (IMAGE, f"docker.io/library/{IMAGE}")  # one image by two names, so that pods are made anew


def change_image(space: Space, processor: str, _turn: int) -> None:
    """Give the pods another image."""
    template = space.get(f"deployment/kato-{processor}")["spec"]["template"]
    (other,) = set(IMAGES) - {template["spec"]["containers"][0]["image"]}
    _patch(space, processor, {"image": other})


def change_resources(space: Space, processor: str, turn: int) -> None:
    """Give the pods other resources."""
    _patch(space, processor, {"resources": {"requests": {"memory": f"{65 + turn}Mi"}}})


def scale_down_and_up(space: Space, processor: str, _turn: int) -> None:
    """Scale to one pod, to three, to one again, and back."""
    for replicas in (1, 3, 1, PODS):
        space.kubectl("scale", f"kproc/{processor}", f"--replicas={replicas}")
        _settle(space, processor, set(), replicas)


def evict_one_by_one(space: Space, processor: str, _turn: int) -> None:
    """Have each pod evicted, as a node that is drained does it, as soon as the budget allows."""
    for pod in pods(space, processor):
        metadata = pod["metadata"]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction"}
        named = {"name": metadata["name"], "namespace": space.namespace}
        eventually(lambda body={**eviction, "metadata": named}: _evicted(space, body), timeout=PATIENCE, interval=0.5)
        _settle(space, processor, {metadata["uid"]}, PODS)


Rollout = Callable[[Space, str, int], None]
ROLLOUTS: Sequence[Rollout] = (change_image, evict_one_by_one, scale_down_and_up, change_resources)


def pods(space: Space, processor: str) -> list[Json]:
    """Return the pods of a processor that are to stay."""
    return [pod for pod in _all_pods(space, processor) if not pod["metadata"].get("deletionTimestamp")]


def _all_pods(space: Space, processor: str) -> list[Json]:
    """Return the pods of a processor, those on their way out too."""
    return space.listing("pods", f"kato.dev/processor={processor}")


def _patch(space: Space, processor: str, spec: Json) -> None:
    """Change the spec, and wait until every pod is another one."""
    before = {pod["metadata"]["uid"] for pod in pods(space, processor)}
    space.kubectl("patch", f"kproc/{processor}", "--type=merge", "--patch", json.dumps({"spec": spec}))
    _settle(space, processor, before, PODS)


def _settle(space: Space, processor: str, before: set[str], replicas: int) -> None:
    """Wait until so many pods are ready, and those from before have ended."""

    def settled() -> bool:
        uids = {pod["metadata"]["uid"] for pod in _all_pods(space, processor)}
        status = space.get(f"deployment/kato-{processor}").get("status", {})
        counts = {status.get(name) for name in ("replicas", "readyReplicas", "updatedReplicas")}
        return len(uids) == replicas and not uids & before and counts == {replicas}

    eventually(settled, timeout=2 * PATIENCE, interval=0.5)


def _evicted(space: Space, eviction: Json) -> bool:
    """Ask for an eviction; say whether it was allowed."""
    name = eviction["metadata"]["name"]
    path = f"/api/v1/namespaces/{space.namespace}/pods/{name}/eviction"
    try:
        space.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    except CommandFailed as error:
        if "disruption budget" not in error.stderr:
            raise
        return False
    return True
