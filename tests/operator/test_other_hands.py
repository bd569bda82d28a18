"""Others who write the same objects: a GitOps tool, an autoscaler, a cloud's controller. No one fights."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.cluster import pods
from tests.support.cluster.cluster import Cluster, CommandFailed
from tests.support.cluster.local import LocalCluster
from tests.support.eventually import eventually
from tests.support.operator.process import OperatorProcess, leading
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
STORES = ("--from-literal=uri=mongodb://127.0.0.1:1", "--from-literal=url=redis://127.0.0.1:1")
# On stores that the chart names, and on no node: all children are made, and no pod is started.
WIDE: Json = {"storage": None, "replicas": 2, "autoscaling": {"maxReplicas": 3}, "nodeSelector": {"disk": "of-gold"}}


@pytest.fixture(scope="module")
def operator(cluster: Cluster, home: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator of this file, whose chart names stores."""
    cluster.kubectl("create", "secret", "generic", "stores", *STORES, "--namespace", home)
    named = {"stores_mongodb_secret": "stores", "stores_redis_secret": "stores"}
    process = OperatorProcess(cluster, [home], tmp_path_factory.mktemp("operator"), resync_seconds=2, **named)
    with leading(process, timeout=30):
        yield process


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
    look_twice(operator)
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


def look_twice(operator: OperatorProcess) -> None:
    """Wait until the operator has looked at processors at least twice more."""
    looked = operator.metric("kato_operator_reconciles_total", kind="KatoProcessor")
    eventually(lambda: operator.metric("kato_operator_reconciles_total", kind="KatoProcessor") > looked + 2, timeout=60)


def holds(found: object, wanted: object) -> bool:
    """Say whether all that is wanted is in what was found."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(found.get(key), value) for key, value in wanted.items())
    return found == wanted


@pytest.fixture(scope="module")
def wide(space: Space) -> Iterator[Space]:
    """The namespace with a processor that has every child which only shared stores or replicas ask for."""
    space.processor("wide", **WIDE, deletionPolicy="Delete")
    for reference, _ in DRIFT:
        eventually(lambda reference=reference: space.find(reference), promised=PROMISED)
    yield space
    # There is no store to remove a memory from.
    space.processor("wide", **WIDE, deletionPolicy="Retain")
    eventually(lambda: space.find("configmap/kato-wide.memory") is None, promised=PROMISED)
    space.kubectl("delete", "kproc/wide")


DRIFT: list[tuple[str, Json]] = [
    ("pdb/kato-wide", {"spec": {"maxUnavailable": 2}}),
    ("hpa/kato-wide", {"spec": {"maxReplicas": 9}}),
    ("secret/kato-wide-stores", {"data": {"uri": "eA=="}}),
    ("configmap/kato-wide.memory", {"data": {"stores": "elsewhere"}}),
]


@pytest.mark.parametrize("reference", [reference for reference, _ in DRIFT])
def test_a_child_of_shared_stores_or_replicas_is_back_within_10_s(wide: Space, reference: str) -> None:
    uid = wide.get(reference)["metadata"]["uid"]
    wide.kubectl("delete", reference)
    eventually(
        lambda: (wide.find(reference) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid, promised=PROMISED
    )


@pytest.mark.parametrize(("reference", "edit"), DRIFT)
def test_a_child_of_shared_stores_or_replicas_is_set_right_within_10_s(wide: Space, reference: str, edit: Json) -> None:
    def content() -> object:
        found = wide.get(reference)
        return found.get("spec"), found.get("data")

    before = content()
    wide.kubectl("patch", reference, "--type=merge", "--patch", json.dumps(edit))
    eventually(lambda: content() == before, promised=PROMISED)


def test_a_paused_processor_is_left_alone_until_it_is_not(wide: Space, operator: OperatorProcess) -> None:
    wide.kubectl("annotate", "kproc/wide", "kato.dev/paused=true")
    wide.reaches("kproc/wide", "Progressing", "False", "Paused")
    wide.kubectl("patch", "kproc/wide", "--type=merge", "--patch", '{"spec": {"port": 9000}}')
    wide.kubectl("delete", "pdb/kato-wide")
    look_twice(operator)
    assert wide.find("pdb/kato-wide") is None
    assert wide.get("service/kato-wide")["spec"]["ports"][0]["port"] == 8000
    wide.kubectl("annotate", "kproc/wide", "kato.dev/paused-")
    eventually(lambda: wide.find("pdb/kato-wide"), promised=PROMISED)
    eventually(lambda: wide.get("service/kato-wide")["spec"]["ports"][0]["port"] == 9000, promised=PROMISED)
    eventually(lambda: wide.condition("kproc/wide", "Progressing")[1] != "Paused", promised=PROMISED)


LABELS = {"matchLabels": {"a": "b"}}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}
# Of each kind: what the child adds to the processor's name, and what is there already.
IN_THE_WAY: dict[str, tuple[str, Json]] = {
    "token": ("-internal", {"apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg=="}}),
    "copy": ("-stores", {"apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg=="}}),
    "note": (".memory", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}),
    "policy": ("", {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": LABELS}}),
    "budget": ("", {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"selector": LABELS}}),
    "scaler": (
        "",
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "spec": {"maxReplicas": 2, "scaleTargetRef": TARGET},
        },
    ),
    "volume": (
        "-memory",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
    ),
}


def test_foreign_objects_of_every_kind_are_said_and_left_alone(space: Space) -> None:
    foreign = {name: f"{body['kind'].lower()}/kato-{name}{suffix}" for name, (suffix, body) in IN_THE_WAY.items()}
    for name, (suffix, body) in IN_THE_WAY.items():
        metadata = {"name": f"kato-{name}{suffix}", "namespace": space.namespace}
        space.cluster.apply({**body, "metadata": metadata})
    before = {name: mine(space, reference) for name, reference in foreign.items()}
    for name in foreign:
        volume = {"storage": {"embedded": {"size": "1Gi"}}, "replicas": 1, "autoscaling": None}
        space.processor(name, **WIDE | (volume if name == "volume" else {}), deletionPolicy="Delete")
    for name, (suffix, body) in IN_THE_WAY.items():
        space.reaches(f"kproc/{name}", "Degraded", "True", "NameConflict")
        assert f"{body['kind']} kato-{name}{suffix} exists" in message(space, name)
    assert {name: mine(space, reference) for name, reference in foreign.items()} == before
    space.kubectl("delete", *foreign.values())
    for name, reference in foreign.items():
        eventually(lambda reference=reference: managed(space, reference), promised=PROMISED)
        eventually(
            lambda name=name: space.condition(f"kproc/{name}", "Degraded")[1] != "NameConflict", promised=PROMISED
        )
    patch = json.dumps({"spec": {"deletionPolicy": "Retain"}})
    for name in foreign:
        space.kubectl("patch", f"kproc/{name}", "--type=merge", "--patch", patch)
    eventually(lambda: not held(space), promised=PROMISED)
    space.kubectl("delete", *(f"kproc/{name}" for name in foreign))


def mine(space: Space, reference: str) -> object:
    """Return what whoever made an object wrote of it."""
    found = space.get(reference)
    return found["metadata"]["uid"], found["metadata"].get("labels"), found.get("spec"), found.get("data")


def message(space: Space, name: str) -> str:
    """Return what a processor's Degraded says."""
    known = space.get(f"kproc/{name}")["status"]["conditions"]
    return str(next(condition["message"] for condition in known if condition["type"] == "Degraded"))


def managed(space: Space, reference: str) -> bool:
    """Say whether an object is there and the operator's."""
    labels = (space.find(reference) or {"metadata": {}})["metadata"].get("labels", {})
    return bool(labels.get("app.kubernetes.io/managed-by") == "kato-operator")


def held(space: Space) -> list[str]:
    """Return the processors of the last test that a finalizer holds."""
    found = [space.get(f"kproc/{name}")["metadata"] for name in IN_THE_WAY]
    return [metadata["name"] for metadata in found if metadata.get("finalizers")]


def injecting(image: str) -> list[Json]:
    """Return a policy by which the API server adds a container to each pod of the processor `meshed`."""
    group = "admissionregistration.k8s.io/v1beta1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    secure = "Object.spec.containers.securityContext"
    added = (
        f'Object.spec.containers{{name: "mesh", image: "{image}", command: ["python3", "-c"], '
        'args: ["import signal; signal.signal(15, lambda *_: exit()); signal.pause()"], '
        f"securityContext: {secure}{{allowPrivilegeEscalation: false, "
        f'capabilities: {secure}.capabilities{{drop: ["ALL"]}}}}}}'
    )
    patch = f'[JSONPatch{{op: "add", path: "/spec/containers/-", value: {added}}}]'
    mutation = {"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}
    spec = {
        "matchConstraints": {
            "objectSelector": {"matchLabels": {"kato.dev/processor": "meshed"}},
            "resourceRules": [rule],
        },
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [mutation],
    }
    metadata = {"name": "mesh"}
    return [
        {"apiVersion": group, "kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": spec},
        {
            "apiVersion": group,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": "mesh"},
        },
    ]


@pytest.fixture
def mesh(space: Space, local_cluster: LocalCluster, python_image: str) -> Iterator[None]:
    """A mesh that injects its sidecar, as soon as the API server does so."""
    policies = injecting(python_image)
    space.cluster.apply(*policies)
    probe = pods.pod(space.namespace, "probe", python_image, ["true"])
    probe["metadata"]["labels"] = {"kato.dev/processor": "meshed"}

    def injects() -> bool:
        tried = space.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(probe))
        return len(json.loads(tried)["spec"]["containers"]) == 2

    try:
        eventually(injects, timeout=30, interval=0.5)
        yield
    finally:
        for policy in policies:
            space.cluster.kubectl("delete", policy["kind"], "mesh")


def test_a_container_that_is_injected_into_the_pods_stays(space: Space, mesh: None, operator: OperatorProcess) -> None:
    space.processor("meshed")
    space.ready("meshed")
    pod, deployment = space.pod("meshed"), space.get("deployment/kato-meshed")["metadata"]
    assert sorted(container["name"] for container in pod["spec"]["containers"]) == ["kato", "mesh"]
    look_twice(operator)
    assert space.pod("meshed")["metadata"]["uid"] == pod["metadata"]["uid"]
    assert space.get("deployment/kato-meshed")["metadata"]["generation"] == deployment["generation"]
    assert space.condition("kproc/meshed", "Degraded")[0] == "False"
    space.kubectl("delete", "kproc/meshed")
