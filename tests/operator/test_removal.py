"""How processors go: with and without their memory, found again, and never hanging."""

from __future__ import annotations

import json

import pytest

from kato_operator import alarm
from tests.support.eventually import eventually
from tests.support.operator.process import OperatorProcess
from tests.support.operator.space import PATIENCE, PROMISED, Space

CLAIM = "pvc/kato-broad-memory"
VOLUME = {"embedded": {"size": "1Gi"}}


def learn(space: Space) -> str:
    """Learn one pattern and return its name."""
    session = space.ask("POST", "broad", "/sessions", {"user_id": "a"})["session_id"]
    for strings in (["a"], ["b"]):
        space.ask("POST", "broad", f"/sessions/{session}/observe", {"strings": strings})
    return str(space.ask("POST", "broad", f"/sessions/{session}/learn")["pattern_name"])


def knows(space: Space, pattern: str) -> bool:
    return bool(space.ask("GET", "broad", f"/pattern/{pattern}?node_id=a")["pattern"]["status"] == "okay")


def test_retained_memory_is_found_again_by_a_processor_of_the_name(space: Space) -> None:
    space.processor("broad", storage=VOLUME)
    space.ready("broad")
    pattern = learn(space)
    space.kubectl("delete", "kproc/broad")
    eventually(lambda: space.find("deployment/kato-broad") is None, timeout=PATIENCE)
    claim = space.get(CLAIM)
    assert "ownerReferences" not in claim["metadata"]
    space.processor("broad", storage=VOLUME)
    space.ready("broad")
    assert space.get(CLAIM)["metadata"]["uid"] == claim["metadata"]["uid"]
    assert knows(space, pattern)


def test_delete_removes_the_memory_before_the_processor_goes(space: Space) -> None:
    space.processor("broad", storage=VOLUME, deletionPolicy="Delete")
    eventually(lambda: space.get("kproc/broad")["metadata"].get("finalizers") == ["kato.dev/memory"], promised=PROMISED)
    space.kubectl("delete", "kproc/broad", "--timeout=100s")
    assert space.find(CLAIM) is None


def test_deletion_ends_when_the_memory_stays(space: Space, operator: OperatorProcess) -> None:
    operator.stop()
    operator.configure(cleanup_deadline_seconds=5)
    operator.start()
    space.processor("broad", storage=VOLUME, deletionPolicy="Delete")
    space.ready("broad")
    patch(space, CLAIM, metadata={"finalizers": ["example.com/stay"]})
    space.kubectl("delete", "kproc/broad", "--timeout=100s")
    eventually(lambda: "MemoryLeft" in space.events("broad"), promised=PROMISED)
    patch(space, CLAIM, metadata={"finalizers": None})
    eventually(lambda: space.find(CLAIM) is None, timeout=PATIENCE)


def test_the_sweep_removes_memory_that_was_left(space: Space, operator: OperatorProcess) -> None:
    operator.stop()
    space.processor("broad", storage=VOLUME, deletionPolicy="Delete")
    operator.start()
    space.ready("broad")
    operator.stop()
    leave_to_the_sweep(space, "broad")
    assert space.find(CLAIM)
    operator.start()
    eventually(lambda: space.find(CLAIM) is None, timeout=PATIENCE)


def test_a_change_of_mind_while_no_operator_looks_keeps_the_memory(space: Space, operator: OperatorProcess) -> None:
    space.processor("broad", storage=VOLUME, deletionPolicy="Delete")
    space.ready("broad")
    pattern = learn(space)
    space.processor("marker", storage=VOLUME, deletionPolicy="Delete")
    eventually(lambda: space.find("pvc/kato-marker-memory"), promised=PROMISED)
    operator.stop()
    patch(space, "kproc/broad", spec={"deletionPolicy": "Retain"})
    space.kubectl("delete", "kproc/broad", "--wait=false")
    leave_to_the_sweep(space, "marker")
    operator.start()
    eventually(lambda: space.find("kproc/broad") is None, timeout=PATIENCE)
    eventually(lambda: space.find("pvc/kato-marker-memory") is None, timeout=PATIENCE)
    assert space.get(CLAIM)["metadata"]["annotations"]["kato.dev/on-delete"] == "Retain"
    space.processor("broad", storage=VOLUME)
    space.ready("broad")
    assert knows(space, pattern)
    space.kubectl("delete", "kproc/broad")
    space.kubectl("delete", CLAIM)


def test_a_refused_spec_keeps_its_memory_when_it_says_so(space: Space, operator: OperatorProcess) -> None:
    manifest = {
        "apiVersion": "kato.dev/v1alpha1",
        "kind": "KatoProcessor",
        "metadata": {"name": "broad", "namespace": space.namespace},
        "spec": {"deletionPolicy": "Delete"},
    }
    space.cluster.apply(manifest)
    space.ready("broad")
    patch(space, "kproc/broad", spec={"deletionPolicy": "Retain", "replicas": 3})
    space.reaches("kproc/broad", "Degraded", "True", "InvalidSpec")
    eventually(lambda: "finalizers" not in space.get("kproc/broad")["metadata"], promised=PROMISED)
    space.kubectl("delete", "kproc/broad")
    assert space.get(CLAIM)["metadata"]["annotations"]["kato.dev/on-delete"] == "Retain"
    space.kubectl("delete", CLAIM)


def patch(space: Space, reference: str, **fields: object) -> None:
    """Merge fields into an object."""
    space.kubectl("patch", reference, "--type=merge", "--patch", json.dumps(fields))


def leave_to_the_sweep(space: Space, name: str) -> None:
    """Let a processor go without its memory, as when no operator is there."""
    patch(space, f"kproc/{name}", metadata={"finalizers": None})
    space.kubectl("delete", f"kproc/{name}")


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_a_processor_made_anew_at_once_gets_new_children(space: Space, policy: str) -> None:
    space.processor("broad", deletionPolicy=policy)
    space.ready("broad")
    space.kubectl("delete", "kproc/broad", "--timeout=100s")
    space.processor("broad", deletionPolicy=policy)
    space.ready("broad")
    uid = space.get("kproc/broad")["metadata"]["uid"]
    assert space.get("deployment/kato-broad")["metadata"]["ownerReferences"][0]["uid"] == uid
    space.kubectl("delete", "kproc/broad", "--timeout=100s")


def test_children_left_behind_on_purpose_are_taken_back(space: Space) -> None:
    space.processor("free")
    space.ready("free")
    uid = space.get("deployment/kato-free")["metadata"]["uid"]
    space.kubectl("delete", "kproc/free", "--cascade=orphan")
    space.processor("free")
    space.ready("free")
    eventually(lambda: space.get("deployment/kato-free")["metadata"].get("ownerReferences"), promised=PROMISED)
    assert space.get("deployment/kato-free")["metadata"]["uid"] == uid
    space.kubectl("delete", "kproc/free")


def test_release_finalizers_takes_the_lease_and_lets_processors_go(space: Space, operator: OperatorProcess) -> None:
    space.processor("broad", deletionPolicy="Delete", storage=VOLUME)
    eventually(lambda: space.get("kproc/broad")["metadata"].get("finalizers"), promised=PROMISED)
    operator.run_to_end("release-finalizers")
    assert "finalizers" not in space.get("kproc/broad")["metadata"]
    assert operator.wait() in {1, alarm.EXIT_CODE}
    space.kubectl("delete", "kproc/broad", "--timeout=10s")
    operator.start()
    eventually(lambda: space.find(CLAIM) is None, timeout=PATIENCE)
