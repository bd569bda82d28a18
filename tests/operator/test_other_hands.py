"""Others who write the same objects: a GitOps tool, an autoscaler, a cloud's controller. No one fights."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.cluster.cluster import CommandFailed
from tests.support.eventually import eventually
from tests.support.operator.process import OperatorProcess
from tests.support.operator.space import PROMISED, Json, Space

MANIFEST = {
    "apiVersion": "kato.dev/v1alpha1",
    "kind": "KatoProcessor",
    "metadata": {"name": "broad", "labels": {"team": "memory"}},
    "spec": {
        "displayName": "Broad",
        "suspend": True,
        "deletionPolicy": "Delete",
        "parameters": {"recallThreshold": 0.5, "filterPipeline": ["length"]},
        "storage": {"embedded": {"size": "1Gi"}},
        "env": [{"name": "TZ", "value": "UTC"}],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "resources": {"requests": {"cpu": "0.5", "memory": "128Mi"}},
    },
}
SESSION = {
    "apiVersion": "kato.dev/v1alpha1",
    "kind": "KatoSession",
    "metadata": {"name": "reader"},
    "spec": {"processorRef": {"name": "broad"}, "config": {"maxPredictions": 5}, "metadata": {"a": "b"}},
}
GITOPS = ("--server-side", "--field-manager=gitops")


@pytest.fixture(scope="module")
def synced(space: Space) -> Iterator[Space]:
    """The namespace with what a GitOps tool applied, and with the operator's finalizer and status on it."""
    sync(space)
    eventually(lambda: space.get("kproc/broad").get("status", {}).get("storage"), promised=PROMISED)
    eventually(lambda: space.get("ksess/reader").get("status"), promised=PROMISED)
    assert space.get("kproc/broad")["metadata"]["finalizers"] == ["kato.dev/memory"]
    yield space
    space.kubectl("delete", "kproc/broad", "ksess/reader", "--timeout=60s")


def sync(space: Space) -> str:
    """Apply as the tool does: without force, so that a conflict fails."""
    documents = "\n---\n".join(map(json.dumps, (MANIFEST, SESSION)))
    return space.kubectl("apply", *GITOPS, "-f", "-", stdin=documents)


def test_a_second_manager_applies_again_and_again_and_nothing_changes(synced: Space) -> None:
    def both() -> list[Json]:
        return [synced.get(name)["metadata"] for name in ("kproc/broad", "ksess/reader")]

    def changes_nothing() -> bool:
        before = both()
        sync(synced)
        return [found["resourceVersion"] for found in before] == [found["resourceVersion"] for found in both()]

    # The operator may still be writing what it found; a sync that is fought over is never without a change.
    eventually(changes_nothing, timeout=60, interval=1)
    assert [found["generation"] for found in both()] == [1, 1]


def test_it_sees_no_difference(synced: Space) -> None:
    documents = "\n---\n".join(map(json.dumps, (MANIFEST, SESSION)))
    try:
        printed = synced.kubectl("diff", *GITOPS, "-f", "-", stdin=documents)
    except CommandFailed as failed:
        printed = failed.stdout
    assert printed == ""


def test_the_operator_owns_nothing_that_a_user_writes(synced: Space) -> None:
    shown = json.loads(synced.kubectl("get", "kproc/broad", "-o", "json", "--show-managed-fields"))
    for entry in shown["metadata"]["managedFields"]:
        if entry["manager"] == "kato-operator":
            fields = entry["fieldsV1"]
            assert set(fields) == ({"f:status"} if entry.get("subresource") == "status" else {"f:metadata"})
            assert set(fields.get("f:metadata", {})) <= {"f:finalizers"}


def test_a_change_of_scale_is_kept(synced: Space) -> None:
    """As an autoscaler makes it; neither the tool, whose manifest has no replicas, nor the operator takes it back."""
    synced.kubectl("scale", "kproc/broad", "--replicas=0")
    sync(synced)
    generation = synced.get("kproc/broad")["metadata"]["generation"]
    eventually(lambda: synced.get("kproc/broad")["status"]["observedGeneration"] == generation, promised=PROMISED)
    assert synced.get("kproc/broad")["spec"]["replicas"] == 0
    scale = json.loads(synced.kubectl("get", "kproc/broad", "--subresource=scale", "-o", "json"))
    assert scale["status"]["selector"] == "app.kubernetes.io/name=kato,kato.dev/processor=broad"


FOREIGN: list[tuple[str, object]] = [
    ("service", {"metadata": {"annotations": {"cloud.example/id": "7"}, "finalizers": ["cloud.example/lb"]}}),
    ("deployment", {"metadata": {"annotations": {"mesh.example/seen": "1"}, "labels": {"mesh": "on"}}}),
    ("deployment", {"spec": {"template": {"metadata": {"annotations": {"kubectl.example/restartedAt": "now"}}}}}),
    ("deployment", {"spec": {"progressDeadlineSeconds": 700}}),
    ("serviceaccount", {"imagePullSecrets": [{"name": "pull"}]}),
]


def test_what_others_add_survives(synced: Space, operator: OperatorProcess) -> None:
    for kind, theirs in FOREIGN:
        synced.kubectl("patch", f"{kind}/kato-broad", "--type=merge", "--patch", json.dumps(theirs))
    looked = operator.metric("kato_operator_reconciles_total", kind="KatoProcessor")
    eventually(lambda: operator.metric("kato_operator_reconciles_total", kind="KatoProcessor") > looked + 2, timeout=60)
    try:
        for kind, theirs in FOREIGN:
            assert holds(synced.get(f"{kind}/kato-broad"), theirs)
    finally:
        free = json.dumps({"metadata": {"finalizers": None}})
        synced.kubectl("patch", "service/kato-broad", "--type=merge", "--patch", free)


POD: Json = {
    "shareProcessNamespace": True,
    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["mongodb"]}],
    "securityContext": {"supplementalGroups": [0]},
    "containers": [
        {
            "name": "kato",
            "securityContext": {"runAsUser": 0, "runAsNonRoot": False, "capabilities": {"add": ["NET_ADMIN"]}},
            "lifecycle": {"postStart": {"exec": {"command": ["true"]}}},
        }
    ],
}
LOOSENING: list[tuple[str, Json]] = [
    ("deployment/kato-broad", {"spec": {"template": {"spec": POD}}}),
    ("service/kato-broad", {"spec": {"sessionAffinity": "ClientIP", "internalTrafficPolicy": "Local"}}),
]


@pytest.mark.parametrize(("reference", "edit"), LOOSENING, ids=["deployment", "service"])
def test_what_someone_loosens_is_mended(synced: Space, reference: str, edit: Json) -> None:
    before = synced.get(reference)["spec"]
    synced.kubectl("patch", reference, "--type=strategic", "--patch", json.dumps(edit))
    eventually(lambda: synced.get(reference)["spec"] == before, promised=PROMISED)


def test_labels_that_someone_takes_off_the_memory_are_put_back(synced: Space) -> None:
    before = synced.get("pvc/kato-broad-memory")["metadata"]["labels"]
    synced.kubectl("label", "pvc/kato-broad-memory", *(f"{label}-" for label in before))
    eventually(lambda: synced.get("pvc/kato-broad-memory")["metadata"].get("labels") == before, promised=PROMISED)


def holds(found: object, wanted: object) -> bool:
    """Say whether all that is wanted is in what was found."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(found.get(key), value) for key, value in wanted.items())
    return found == wanted
