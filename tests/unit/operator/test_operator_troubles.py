"""What cannot work is said in the conditions, and heals when its cause goes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kato_operator.desired.kinds import (
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    PROCESSOR,
    SECRET,
    SERVICE,
    Kind,
    Manifest,
)
from kato_operator.reconcile.ports import Refused
from kato_operator.status.conditions import find
from tests.support.operator.rig import NAMESPACE, Rig, pod
from tests.support.operator.walk import applied, running


def foreign(kind: Kind, name: str) -> Manifest:
    status = {"replicas": 1, "readyReplicas": 1}
    return kind.manifest({"name": name, "namespace": NAMESPACE}, data={"mine": "yes"}, status=status)


@pytest.mark.parametrize("kind", [CONFIG_MAP, SERVICE, DEPLOYMENT])
async def test_a_foreign_object_in_the_way_is_not_touched_and_told(rig: Rig, kind: Kind) -> None:
    theirs = rig.cluster.put(kind, foreign(kind, "kato-broad"))
    await applied(rig)
    assert rig.get(kind, "kato-broad") == theirs
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "NameConflict")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "NameConflict")
    assert rig.get(PROCESSOR, "broad")["status"]["readyReplicas"] == 0
    assert "NameConflict" in rig.events()
    rig.cluster.remove(kind, NAMESPACE, "kato-broad")
    await rig.forward(10)
    assert rig.get(kind, "kato-broad")["metadata"]["ownerReferences"]
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")


async def test_a_volume_whose_labels_were_taken_off_is_taken_back(rig: Rig) -> None:
    await running(rig)
    before = rig.get(CLAIM, "kato-broad-memory")
    at = {**before["metadata"], "resourceVersion": "90"}
    rig.cluster.objects[CLAIM, NAMESPACE, "kato-broad-memory"] = {**before, "metadata": {**at, "labels": {}}}
    rig.cluster.listener(CLAIM, {**before, "metadata": at}, True)  # the watch, which goes by label, takes it for gone
    await rig.settle()
    assert rig.get(CLAIM, "kato-broad-memory")["metadata"]["labels"] == before["metadata"]["labels"]
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "helm"}], ids=["none", "anothers"])
async def test_a_volume_of_unknown_origin_is_left_alone_until_it_is_given(rig: Rig, labels: dict[str, str]) -> None:
    spec = {"resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "kato-broad-memory", "namespace": NAMESPACE, "labels": labels}
    theirs = rig.cluster.put(CLAIM, CLAIM.manifest(metadata, spec=spec))
    await applied(rig)
    assert rig.get(CLAIM, "kato-broad-memory") == theirs
    condition = find(rig.get(PROCESSOR, "broad")["status"], "Degraded")
    assert condition is not None
    said = re.search(r"label it so: (\S+)=(\S+) (\S+)=(\S+)$", condition["message"])
    assert said is not None
    given = {said[1]: said[2], said[3]: said[4]}
    rig.cluster.put(CLAIM, {"metadata": {**metadata, "labels": given}})
    await rig.forward(6)
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")


async def test_what_the_api_server_refuses_is_told_and_tried_again(rig: Rig) -> None:
    key = ("PersistentVolumeClaim", "kato-broad-memory")
    rig.cluster.refusals[key] = Refused("PATCH claim", "QuotaExceeded", "exceeded quota: storage")
    await applied(rig)
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "QuotaExceeded")
    assert rig.find(DEPLOYMENT, "kato-broad") is None
    del rig.cluster.refusals[key]
    await rig.forward(6)
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")
    assert rig.find(DEPLOYMENT, "kato-broad")


async def test_a_spec_that_cannot_work_names_field_value_and_what_is_allowed(rig: Rig) -> None:
    await running(rig)
    await applied(rig, replicas=3)
    condition = next(item for item in rig.get(PROCESSOR, "broad")["status"]["conditions"] if item["type"] == "Degraded")
    assert condition["reason"] == "InvalidSpec"
    assert condition["message"] == "spec.replicas: 3 is not allowed; allowed: 0 or 1 with embedded storage"
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("True", "PodsReady")
    assert rig.condition(PROCESSOR, "broad", "ParametersLive") == ("False", "Pending")
    assert rig.get(DEPLOYMENT, "kato-broad")["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("storage", "field"),
    [
        ({"embedded": {"size": "500Mi", "ephemeral": False}}, "spec.storage.embedded.size"),
        ({"embedded": {"size": "1Gi", "ephemeral": True}}, "spec.storage.embedded.ephemeral"),
    ],
)
async def test_resolved_storage_is_kept(rig: Rig, storage: dict[str, object], field: str) -> None:
    await applied(rig)
    await applied(rig, storage=storage)
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "InvalidSpec")
    messages = [item["message"] for item in rig.get(PROCESSOR, "broad")["status"]["conditions"]]
    assert any(message.startswith(field) for message in messages)


TROUBLES: dict[str, dict[str, Any]] = {
    "ImagePullBackOff": {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}},
    "ConfigMissing": {
        "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}}
    },
    "CrashLoopBackOff": {
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": {"exitCode": 1, "message": "kato serve: no"}},
    },
    "ContainerExited": {"state": {"terminated": {"exitCode": 1, "message": "kato serve: no"}}},
}


@pytest.mark.parametrize("reason", TROUBLES)
async def test_what_keeps_a_pod_from_running_is_the_reason_of_ready_false(rig: Rig, reason: str) -> None:
    await applied(rig)
    rig.cluster.put(POD, pod("broad", "", [], containerStatuses=[{"name": "kato", **TROUBLES[reason]}]))
    await rig.settle()
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", reason)
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", reason)
    await rig.pod_runs("broad")
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")


async def test_a_container_that_was_started_again_is_in_trouble_until_it_is_ready(rig: Rig) -> None:
    await applied(rig)
    again = {"name": "kato", "ready": False, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}
    rig.cluster.put(POD, pod("broad", "", [], containerStatuses=[again]))
    await rig.settle()
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "ContainerExited")
    rig.cluster.put(POD, pod("broad", "", [], containerStatuses=[{**again, "ready": True}]))
    await rig.settle()
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")


async def test_a_volume_that_does_not_bind_is_told_before_the_scheduler_s_words(rig: Rig) -> None:
    await applied(rig)
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no volume"}
    rig.cluster.put(POD, pod("broad", "", [unscheduled]))
    await rig.settle()
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "VolumeNotBound")
    assert rig.condition(PROCESSOR, "broad", "StoreReachable") == ("False", "VolumeNotBound")
    rig.cluster.put(CLAIM, {**rig.get(CLAIM, "kato-broad-memory"), "status": {"phase": "Bound"}})
    await rig.settle()
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "Unschedulable")


async def test_a_quota_that_admits_no_pod_is_told(rig: Rig) -> None:
    await applied(rig)
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: few"}
    rig.cluster.put(DEPLOYMENT, {**rig.get(DEPLOYMENT, "kato-broad"), "status": {"conditions": [failure]}})
    await rig.settle()
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "QuotaExceeded")


async def test_a_store_that_is_away_is_told_apart_from_pods_that_start(rig: Rig) -> None:
    await running(rig)
    assert rig.condition(PROCESSOR, "broad", "StoreReachable") == ("True", "Reachable")
    rig.pods.cut_off.add("10.0.0.1")
    unready(rig, "Running")
    await rig.forward(4)
    assert rig.condition(PROCESSOR, "broad", "StoreReachable") == ("False", "StoreUnavailable")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "StoreUnavailable")
    assert "Redis cannot be reached" in str(rig.get(PROCESSOR, "broad")["status"])
    rig.pods.cut_off.clear()
    await rig.forward(4)
    assert rig.condition(PROCESSOR, "broad", "StoreReachable") == ("Unknown", "NoReadyPod")
    await rig.pod_runs("broad", fresh=False)
    assert rig.condition(PROCESSOR, "broad", "StoreReachable") == ("True", "Reachable")


def unready(rig: Rig, phase: str) -> None:
    """Let the pod fail its readiness probe, its container running."""
    state = [{"name": "kato", "state": {"running": {}}}]
    changed = pod("broad", "10.0.0.1", [{"type": "Ready", "status": "False"}], phase=phase, containerStatuses=state)
    rig.cluster.put(POD, changed)
    deployment = rig.get(DEPLOYMENT, "kato-broad")
    rig.cluster.put(DEPLOYMENT, {**deployment, "status": {**deployment["status"], "readyReplicas": 0}})


async def test_secrets_are_read_anew_when_a_pod_starts(rig: Rig) -> None:
    await running(rig)
    whole = rig.get(SECRET, "kato-broad-internal")["data"]
    rig.cluster.remove(SECRET, NAMESPACE, "kato-broad-internal")
    unready(rig, "Pending")
    await rig.settle()
    assert rig.get(SECRET, "kato-broad-internal")["data"] == whole
