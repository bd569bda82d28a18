"""The walk of a KatoProcessor: applied -> desired -> apply -> observed -> status, and what may stand in its way."""

from __future__ import annotations

import base64
import json

import pytest

from kato_operator.desired.kinds import (
    AUTOSCALER,
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD,
    PROCESSOR,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Manifest,
)
from kato_operator.reconcile.ports import Refused
from tests.support.operator.fake_cluster import Crash
from tests.support.operator.rig import NAMESPACE, Rig, new_rig, pod, restarted

ALWAYS = {
    (DEPLOYMENT, "kato-broad"),
    (SERVICE, "kato-broad"),
    (CONFIG_MAP, "kato-broad"),
    (SERVICE_ACCOUNT, "kato-broad"),
    (NETWORK_POLICY, "kato-broad"),
    (SECRET, "kato-broad-internal"),
    (CLAIM, "kato-broad-memory"),
}


def children(rig: Rig) -> set[tuple[Kind, str]]:
    return {(kind, name) for kind, _, name in rig.cluster.objects if kind is not PROCESSOR}


def foreign(kind: Kind, name: str) -> Manifest:
    return kind.manifest({"name": name, "namespace": NAMESPACE}, data={"mine": "yes"})


async def applied(rig: Rig, name: str = "broad", **spec: object) -> None:
    rig.user_applies(PROCESSOR, name, **spec)
    await rig.settle()


async def running(rig: Rig, name: str = "broad", **spec: object) -> None:
    await applied(rig, name, **spec)
    await rig.pod_runs(name)


async def test_a_processor_gets_its_children(rig: Rig) -> None:
    await applied(rig)
    assert children(rig) == ALWAYS
    uid = rig.get(PROCESSOR, "broad")["metadata"]["uid"]
    owned = {place[0] for place, item in rig.cluster.objects.items() if item["metadata"].get("ownerReferences")}
    assert owned == {kind for kind, _ in ALWAYS} - {CLAIM}
    assert rig.get(DEPLOYMENT, "kato-broad")["metadata"]["ownerReferences"][0]["uid"] == uid


async def test_it_is_ready_when_its_pod_is_and_has_its_parameters(rig: Rig) -> None:
    await applied(rig, parameters={"recallThreshold": 0.25})
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "PodsNotReady")
    await rig.pod_runs("broad")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("True", "PodsReady")
    assert rig.condition(PROCESSOR, "broad", "ParametersLive") == ("True", "Live")
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")
    live = rig.pods.running["10.0.0.1"].parameters.record
    assert live is not None
    assert live.parameters == {"recall_threshold": 0.25}
    status = rig.get(PROCESSOR, "broad")["status"]
    assert status["endpoint"] == "http://kato-broad.space.svc:8000"
    assert status["storage"] == {
        "type": "Embedded",
        "size": "1Gi",
        "ephemeral": False,
        "claimName": "kato-broad-memory",
    }
    assert (status["patterns"], status["activeSessions"]) == (0, 0)


async def test_nothing_is_written_when_nothing_changed(rig: Rig) -> None:
    await running(rig)
    before = list(rig.cluster.writes)
    await rig.forward(3600)
    await rig.rounds.resync()
    await rig.settle()
    assert rig.cluster.writes == before


async def test_a_restart_writes_nothing(rig: Rig) -> None:
    await running(rig)
    before = list(rig.cluster.writes)
    await restarted(rig).start()
    assert rig.cluster.writes == before


async def test_parameters_change_without_a_new_pod(rig: Rig) -> None:
    await running(rig)
    template = rig.get(DEPLOYMENT, "kato-broad")["spec"]["template"]
    await applied(rig, parameters={"maxPredictions": 7}, sessions={"ttlSeconds": 60}, displayName="Other")
    assert rig.get(DEPLOYMENT, "kato-broad")["spec"]["template"] == template
    live = rig.pods.running["10.0.0.1"].parameters.record
    assert live is not None
    assert (live.parameters, live.sessions.ttl_seconds) == ({"max_predictions": 7}, 60)
    stored = json.loads(rig.get(CONFIG_MAP, "kato-broad")["data"]["parameters.json"])
    assert stored == live.model_dump(mode="json")


async def test_a_silent_pod_shows_in_parameters_live_and_is_told_later(rig: Rig) -> None:
    await running(rig)
    rig.pods.silent.add("10.0.0.1")
    await applied(rig, parameters={"maxPredictions": 7})
    await rig.forward(31)
    assert rig.condition(PROCESSOR, "broad", "ParametersLive") == ("False", "PodUnreachable")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("True", "PodsReady")
    rig.pods.silent.clear()
    await rig.forward(4)
    assert rig.condition(PROCESSOR, "broad", "ParametersLive") == ("True", "Live")


@pytest.mark.parametrize(("kind", "name"), sorted(ALWAYS - {(SECRET, "kato-broad-internal")}, key=str))
async def test_a_deleted_child_comes_back_at_once(rig: Rig, kind: Kind, name: str) -> None:
    await running(rig)
    before = rig.get(kind, name)
    rig.cluster.remove(kind, NAMESPACE, name)
    await rig.settle()
    after = rig.get(kind, name)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after.get("spec") == before.get("spec")


async def test_a_deleted_secret_comes_back_with_the_same_token(rig: Rig) -> None:
    await running(rig)
    before = rig.get(SECRET, "kato-broad-internal")
    rig.cluster.remove(SECRET, NAMESPACE, "kato-broad-internal")
    await rig.rounds.look_at_secrets()
    await rig.settle()
    assert rig.get(SECRET, "kato-broad-internal")["data"] == before["data"]


async def test_an_edited_secret_is_set_right(rig: Rig) -> None:
    await running(rig)
    before = rig.get(SECRET, "kato-broad-internal")
    data = {"token": base64.b64encode(b"other").decode()}
    rig.cluster.put(SECRET, {"metadata": {"name": "kato-broad-internal", "namespace": NAMESPACE}, "data": data})
    await rig.rounds.look_at_secrets()
    await rig.settle()
    assert rig.get(SECRET, "kato-broad-internal")["data"] == before["data"]


async def test_a_token_that_changed_while_no_one_looked_replaces_the_pods(rig: Rig) -> None:
    await running(rig)
    before = rig.get(DEPLOYMENT, "kato-broad")["spec"]["template"]
    data = {"token": base64.b64encode(b"other").decode()}
    rig.cluster.put(SECRET, {"metadata": {"name": "kato-broad-internal", "namespace": NAMESPACE}, "data": data})
    await restarted(rig).start()
    assert rig.get(DEPLOYMENT, "kato-broad")["spec"]["template"] != before


async def test_edits_of_a_child_are_undone(rig: Rig) -> None:
    await running(rig)
    live = rig.get(DEPLOYMENT, "kato-broad")
    spec = json.loads(json.dumps(live["spec"]))
    spec["replicas"] = 3
    spec["template"]["spec"]["containers"][0]["env"].append({"name": "MORE", "value": "1"})
    spec["template"]["spec"]["containers"].append({"name": "other", "image": "other"})
    rig.cluster.put(DEPLOYMENT, {"metadata": {"name": "kato-broad", "namespace": NAMESPACE}, "spec": spec})
    await rig.settle()
    assert rig.get(DEPLOYMENT, "kato-broad")["spec"] == live["spec"]


async def test_what_others_add_beside_ours_is_left_alone(rig: Rig) -> None:
    await running(rig)
    before = list(rig.cluster.writes)
    rig.cluster.put(SERVICE, {**rig.get(SERVICE, "kato-broad"), "status": {"loadBalancer": {}}})
    metadata = rig.get(SERVICE, "kato-broad")["metadata"]
    annotations = {**metadata["annotations"], "cloud/id": "7"}
    rig.cluster.put(SERVICE, {"metadata": {**metadata, "annotations": annotations}})
    await rig.settle()
    assert rig.cluster.writes == before


async def test_an_annotation_that_is_no_longer_wanted_goes(rig: Rig) -> None:
    await applied(rig, serviceAnnotations={"one": "1", "two": "2"})
    rig.cluster.put(
        PROCESSOR,
        {
            "metadata": {"name": "broad", "namespace": NAMESPACE},
            "spec": {**rig.get(PROCESSOR, "broad")["spec"], "serviceAnnotations": {"one": "1"}},
        },
    )
    await rig.settle()
    assert set(rig.get(SERVICE, "kato-broad")["metadata"]["annotations"]) == {"one", "kato.dev/applied"}


@pytest.mark.parametrize("kind", [CONFIG_MAP, SERVICE, DEPLOYMENT])
async def test_a_foreign_object_in_the_way_is_not_touched_and_told(rig: Rig, kind: Kind) -> None:
    theirs = rig.cluster.put(kind, foreign(kind, "kato-broad"))
    await applied(rig)
    assert rig.get(kind, "kato-broad") == theirs
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("True", "NameConflict")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "NameConflict")
    assert "NameConflict" in rig.events()
    rig.cluster.remove(kind, NAMESPACE, "kato-broad")
    await rig.forward(10)
    assert rig.get(kind, "kato-broad")["metadata"]["ownerReferences"]
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")


async def test_children_of_an_earlier_processor_of_the_name_are_waited_for(rig: Rig) -> None:
    await applied(rig)
    old = rig.get(SERVICE, "kato-broad")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    rig.cluster.put(SERVICE, old)
    await applied(rig)
    assert rig.condition(PROCESSOR, "broad", "Progressing") == ("True", "WaitingForRemoval")
    assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")
    rig.cluster.remove(SERVICE, NAMESPACE, "kato-broad")
    await rig.settle()
    assert rig.find(DEPLOYMENT, "kato-broad")


async def test_children_that_were_set_free_are_taken_back(rig: Rig) -> None:
    await applied(rig)
    for kind, name in sorted(ALWAYS - {(CLAIM, "kato-broad-memory")}, key=str):
        live = rig.get(kind, name)
        metadata = {key: value for key, value in live["metadata"].items() if key != "ownerReferences"}
        rig.cluster.objects[kind, NAMESPACE, name] = {**live, "metadata": metadata}
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    rig = restarted(rig)
    await rig.start()
    await applied(rig)
    uid = rig.get(PROCESSOR, "broad")["metadata"]["uid"]
    assert rig.get(SERVICE, "kato-broad")["metadata"]["ownerReferences"][0]["uid"] == uid


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


async def test_a_volume_grows_and_never_shrinks(rig: Rig) -> None:
    await applied(rig, storage={"embedded": {"size": "2Gi", "ephemeral": False}})
    await applied(rig, storage={"embedded": {"size": "3Gi", "ephemeral": False}})
    claim = rig.get(CLAIM, "kato-broad-memory")
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    await applied(rig, storage={"embedded": {"size": "1Gi", "ephemeral": False}})
    assert rig.get(CLAIM, "kato-broad-memory")["spec"] == claim["spec"]


async def test_suspend_scales_to_zero_and_back(rig: Rig) -> None:
    await running(rig)
    await applied(rig, suspend=True)
    assert rig.get(DEPLOYMENT, "kato-broad")["spec"]["replicas"] == 0
    await rig.pod_ends("broad")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "Suspended")
    await applied(rig, suspend=False)
    await rig.pod_runs("broad", fresh=False)
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("True", "PodsReady")


async def test_a_paused_processor_is_left_alone(rig: Rig) -> None:
    await running(rig)
    rig.user_annotates(PROCESSOR, "broad", {"kato.dev/paused": "true"})
    await rig.settle()
    assert rig.condition(PROCESSOR, "broad", "Progressing") == ("False", "Paused")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("True", "PodsReady")
    rig.cluster.remove(SERVICE, NAMESPACE, "kato-broad")
    await rig.settle()
    assert rig.find(SERVICE, "kato-broad") is None
    rig.user_annotates(PROCESSOR, "broad", {})
    await rig.settle()
    assert rig.find(SERVICE, "kato-broad")
    assert rig.condition(PROCESSOR, "broad", "Progressing")[0] == "False"


async def test_optional_children_go_when_they_are_no_longer_wanted(rig: Rig) -> None:
    await applied(rig, serviceAccountName="own")
    assert rig.find(SERVICE_ACCOUNT, "kato-broad") is None
    uid = rig.get(PROCESSOR, "broad")["metadata"]["uid"]
    owner = rig.get(SERVICE, "kato-broad")["metadata"]["ownerReferences"]
    assert owner[0]["uid"] == uid
    for kind in (DISRUPTION_BUDGET, AUTOSCALER):
        labels = rig.get(SERVICE, "kato-broad")["metadata"]["labels"]
        metadata = {"name": "kato-broad", "namespace": NAMESPACE, "labels": labels, "ownerReferences": owner}
        rig.cluster.put(kind, kind.manifest(metadata, spec={}))
    await rig.settle()
    assert rig.find(DISRUPTION_BUDGET, "kato-broad") is None
    assert rig.find(AUTOSCALER, "kato-broad") is None


async def test_the_memory_outlives_a_processor_that_retains_it(rig: Rig) -> None:
    await applied(rig)
    assert "finalizers" not in rig.get(PROCESSOR, "broad")["metadata"]
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    assert children(rig) == {(CLAIM, "kato-broad-memory")}
    claim = rig.get(CLAIM, "kato-broad-memory")
    await applied(rig)
    assert rig.get(CLAIM, "kato-broad-memory") == claim


async def test_the_memory_goes_before_a_processor_that_deletes_it(rig: Rig) -> None:
    await running(rig, deletionPolicy="Delete")
    assert rig.get(PROCESSOR, "broad")["metadata"]["finalizers"] == ["kato.dev/memory"]
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(3)
    assert children(rig) == {(POD, "kato-broad-0")}
    assert rig.find(PROCESSOR, "broad") is None


async def test_a_change_of_the_policy_moves_the_finalizer(rig: Rig) -> None:
    await applied(rig, deletionPolicy="Delete")
    await applied(rig, deletionPolicy="Retain")
    assert "finalizers" not in rig.get(PROCESSOR, "broad")["metadata"]


async def test_deletion_ends_when_the_memory_cannot_be_removed_and_the_sweep_removes_it(rig: Rig) -> None:
    await running(rig, deletionPolicy="Delete")
    key = ("PersistentVolumeClaim", "kato-broad-memory")
    rig.cluster.refusals[key] = Refused("DELETE claim", "Forbidden", "not now")
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.forward(58)
    assert rig.find(PROCESSOR, "broad")
    await rig.forward(4)
    assert rig.find(PROCESSOR, "broad") is None
    assert "MemoryLeft" in rig.events()
    assert rig.find(CLAIM, "kato-broad-memory")
    del rig.cluster.refusals[key]
    await rig.rounds.sweep()
    assert rig.find(CLAIM, "kato-broad-memory") is None


async def test_the_sweep_leaves_retained_memory(rig: Rig) -> None:
    await applied(rig)
    await rig.rounds.sweep()
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    await rig.rounds.sweep()
    assert rig.find(CLAIM, "kato-broad-memory")


async def test_an_api_server_that_is_away_costs_nothing_but_time(rig: Rig) -> None:
    rig.cluster.away = True
    rig.user_applies(PROCESSOR, "broad")
    await rig.settle()
    assert children(rig) == set()
    rig.cluster.away = False
    await rig.forward(31)
    assert children(rig) == ALWAYS


async def test_a_missed_event_is_made_good_by_the_resync(rig: Rig) -> None:
    await running(rig)
    listener, rig.cluster.listener = rig.cluster.listener, lambda kind, manifest, gone: None
    rig.cluster.remove(SERVICE, NAMESPACE, "kato-broad")
    rig.user_applies(PROCESSOR, "strict")
    await rig.settle()
    assert rig.find(SERVICE, "kato-broad") is None
    rig.cluster.listener = listener
    await rig.rounds.resync()
    await rig.settle()
    assert rig.find(SERVICE, "kato-broad")
    assert rig.find(SERVICE, "kato-strict")


async def test_a_crash_at_any_write_converges_to_the_same_state() -> None:
    whole = new_rig()
    await whole.start()
    await running(whole, deletionPolicy="Delete")
    wanted = shape(whole)
    for number in range(len(whole.cluster.writes)):
        rig = new_rig()
        await rig.start()
        rig.cluster.crash_at = number
        rig.user_applies(PROCESSOR, "broad", deletionPolicy="Delete")
        crashed = await dies(rig)
        rig.cluster.crash_at = None
        rig = restarted(rig)
        await rig.start()
        await rig.pod_runs("broad")
        assert shape(rig) == wanted, f"after a crash at write {number}"
        assert crashed or number > 0
        await rig.pods.stop()
    await whole.pods.stop()


async def dies(rig: Rig) -> bool:
    """Run until the crash, if it comes before the pod does."""
    try:
        await rig.settle()
    except Crash:
        return True
    return False


def shape(rig: Rig) -> dict[tuple[str, str], object]:
    """Return everything that matters of the cluster: no tokens, no versions, no times."""
    found: dict[tuple[str, str], object] = {}
    for (kind, _, name), item in rig.cluster.objects.items():
        conditions = item.get("status", {}).get("conditions", [])
        facts = [(entry["type"], entry["status"], entry.get("reason")) for entry in conditions]
        spec = json.loads(json.dumps(item.get("spec", {})))
        spec.get("template", {}).pop("metadata", None)
        found[kind.name, name] = (spec, facts, item["metadata"].get("finalizers"))
    return found


TROUBLES = {
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


async def test_events_are_told_once_for_each_transition(rig: Rig) -> None:
    await running(rig)
    await rig.forward(600)
    await rig.pod_ends("broad")
    await rig.pod_runs("broad", fresh=False)
    assert rig.events() == ["Ready", "PodsNotReady", "Ready"]
