"""External storage as the chart brings it for trials: two pods of one memory, and none of it lost when they are killed.

Each test takes up where the one before it ended.
"""

from __future__ import annotations

import pytest

from tests.e2e.clients import stream
from tests.e2e.release import NAMESPACE, STORES, Release
from tests.e2e.space import NOTICED, STARTED, Json, Space, processor
from tests.support.cluster.local import LocalCluster
from tests.support.eventually import eventually
from tests.support.learning import Patterns, known

SHARED = "http://kato-shared:8000"
SENTENCE = ("the", "cat", "sat")
AFTER = 10  # patterns that are learned when the stream was disturbed
SIGKILLED = 137


@pytest.fixture
def shared(bundled: Space) -> Space:
    """The namespace, by the name of its processor."""
    return bundled


def pods(space: Space) -> list[Json]:
    """Return the pods that are to stay, by name."""
    return [
        pod
        for pod in space.listing("pods", "kato.dev/processor=shared")
        if not pod["metadata"].get("deletionTimestamp")
    ]


def at(pod: Json) -> str:
    """Return where a pod is reached past the Service."""
    return f"http://{pod['status']['podIP']}:8000"


def container(pod: Json) -> Json:
    """Return what is said of a pod's container."""
    (status,) = pod["status"].get("containerStatuses") or [{"ready": False}]
    return status


def test_a_processor_that_names_no_storage_is_on_the_bundled_stores(shared: Space) -> None:
    shared.apply(processor("shared", deletionPolicy="Delete"))
    shared.wait("kproc/shared")
    assert shared.get("kproc/shared")["status"]["storage"]["type"] == "External"
    assert shared.find("pvc/kato-shared-memory") is None


def test_what_one_pod_learns_the_other_predicts(shared: Space) -> None:
    shared.kubectl("scale", "kproc/shared", "--replicas=2")
    shared.wait("kproc/shared", "jsonpath={.status.readyReplicas}=2")
    one, other = map(at, pods(shared))
    session = shared.post(f"{one}/sessions", {"user_id": "reader"})["session_id"]
    for word in SENTENCE:
        shared.post(f"{one}/sessions/{session}/observe", {"strings": [word]})
    learned = shared.post(f"{one}/sessions/{session}/learn")["pattern_name"]
    for word in SENTENCE[:-1]:
        shared.post(f"{other}/sessions/{session}/observe", {"strings": [word]})
    (predicted,) = shared.read(f"{other}/sessions/{session}/predictions")["predictions"]
    assert (predicted["name"], predicted["future"]) == (learned.removeprefix("PTRN|"), [["sat"]])


def test_pods_killed_in_the_midst_of_a_stream_lose_nothing_acknowledged(
    shared: Space, local_cluster: LocalCluster
) -> None:
    def kill_all() -> None:
        for pod in pods(shared):  # the one that the stream's connection leads to is among them
            local_cluster.kill(container(pod)["containerID"].removeprefix("containerd://"))

    before = [pod["metadata"]["uid"] for pod in pods(shared)]
    acknowledged = stream(shared, SHARED, AFTER, kill_all)
    eventually(lambda: all(map(is_back, pods(shared))), timeout=STARTED)
    after = pods(shared)
    assert [pod["metadata"]["uid"] for pod in after] == before
    for pod in after:
        eventually(lambda pod=pod: learned(shared, pod) == acknowledged, promised=NOTICED)


def is_back(pod: Json) -> bool:
    """Say whether a pod's container was killed and is ready again; the stream may end before the second one is."""
    found = container(pod)
    return bool(found["ready"]) and found["lastState"].get("terminated", {}).get("exitCode") == SIGKILLED


def learned(space: Space, pod: Json) -> Patterns:
    """Return the patterns of the stream as a pod knows them."""
    return known(lambda path: space.read(at(pod) + path), "stream")


def test_the_stores_pods_may_be_replaced(shared: Space, release: Release) -> None:
    home = Space(release.cluster, NAMESPACE, shared.image)
    known = learned(shared, pods(shared)[0])
    before = {pod["metadata"]["uid"] for pod in home.listing("pods", STORES)}
    home.kubectl("delete", "pods", "--selector", STORES, "--wait=false")  # kubectl may wait for the ones that follow
    eventually(lambda: are_replaced(home.listing("pods", STORES), before), timeout=2 * STARTED)
    for pod in pods(shared):
        eventually(lambda pod=pod: is_ready(shared, pod) and learned(shared, pod) == known, timeout=STARTED)


def is_ready(space: Space, pod: Json) -> bool:
    """Say whether a pod answers for its stores too."""
    return bool(space.ask("GET", f"{at(pod)}/readyz")[0] == 200)


def are_replaced(found: list[Json], before: set[str]) -> bool:
    """Say whether there are as many pods as before, each of them another one and ready."""
    others = [pod for pod in found if pod["metadata"]["uid"] not in before and container(pod)["ready"]]
    return len(found) == len(others) == len(before)
