"""The walk of a KatoProcessor: applied -> desired -> apply -> observed -> status, and drift."""

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
    PROCESSOR,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Manifest,
)
from tests.support.operator.rig import NAMESPACE, Rig, restarted
from tests.support.operator.walk import ALWAYS, applied, children, running


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
    await rig.forward(31)
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
    await rig.forward(31)
    assert rig.condition(PROCESSOR, "broad", "ParametersLive") == ("True", "Live")


async def test_a_pod_that_stays_silent_is_asked_as_seldom_as_one_that_is_well(rig: Rig) -> None:
    await running(rig)
    rig.pods.silent.add("10.0.0.1")
    await rig.forward(600)
    asked = rig.pods.asked
    await rig.forward(3600)
    assert 3600 / 30 - 2 <= rig.pods.asked - asked <= 3600 / 30 + 1
    rig.pods.silent.clear()
    await applied(rig, parameters={"maxPredictions": 7})
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
    await rig.rounds.look_at_own_secrets()
    await rig.settle()
    assert rig.get(SECRET, "kato-broad-internal")["data"] == before["data"]


async def test_an_edited_secret_is_set_right(rig: Rig) -> None:
    await running(rig)
    before = rig.get(SECRET, "kato-broad-internal")
    for data in ({"token": base64.b64encode(b"other").decode()}, before["data"] | {"more": "eA=="}):
        rig.cluster.put(SECRET, {"metadata": {"name": "kato-broad-internal", "namespace": NAMESPACE}, "data": data})
        await rig.rounds.look_at_own_secrets()
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


async def test_a_volume_grows_and_never_shrinks(rig: Rig) -> None:
    await applied(rig, storage={"embedded": {"size": "2Gi", "ephemeral": False}})
    await applied(rig, storage={"embedded": {"size": "3Gi", "ephemeral": False}})
    claim = rig.get(CLAIM, "kato-broad-memory")
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    await applied(rig, storage={"embedded": {"size": "1Gi", "ephemeral": False}})
    assert rig.get(CLAIM, "kato-broad-memory")["spec"] == claim["spec"]


async def test_a_volume_that_is_found_again_is_said_to_be_as_large_as_it_is(rig: Rig) -> None:
    await applied(rig, storage={"embedded": {"size": "3Gi", "ephemeral": False}})
    rig.cluster.remove(PROCESSOR, NAMESPACE, "broad")
    await rig.settle()
    for spec in ({}, {"storage": {"embedded": {"size": "2Gi", "ephemeral": False}}}):
        await applied(rig, **spec)
        await applied(rig, **spec, displayName="Again")
        storage = rig.get(PROCESSOR, "broad")["status"]["storage"]
        assert (storage["size"], storage["requestedSize"]) == ("3Gi", "2Gi" if spec else "1Gi")
        assert rig.condition(PROCESSOR, "broad", "Degraded") == ("False", "AsWanted")
    await applied(rig, storage={"embedded": {"size": "4Gi", "ephemeral": False}})
    storage = rig.get(PROCESSOR, "broad")["status"]["storage"]
    assert (storage["size"], storage.get("requestedSize")) == ("4Gi", None)


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


async def test_a_rollout_is_said_to_be_one_and_warns_no_one(rig: Rig) -> None:
    await running(rig)
    await applied(rig, image="kato-service:other")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "RollingOut")
    await rig.pod_ends("broad")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "RollingOut")
    await rig.pod_runs("broad", fresh=False)
    assert rig.events() == ["Ready", "RollingOut", "Ready"]
    assert {happening.type for happening in rig.cluster.happenings} == {"Normal"}


async def test_a_rollout_is_one_however_quick_the_controllers_are(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await running(rig)
    apply = rig.cluster.apply

    async def apply_and_end_the_pod(kind: Kind, wanted: Manifest) -> Manifest:
        stored = await apply(kind, wanted)
        if kind is not DEPLOYMENT:
            return stored
        status = {"observedGeneration": stored["metadata"]["generation"], "replicas": 1, "readyReplicas": 0}
        rig.cluster.put(DEPLOYMENT, {**stored, "status": status})
        return rig.get(DEPLOYMENT, "kato-broad")

    monkeypatch.setattr(rig.cluster, "apply", apply_and_end_the_pod)
    await applied(rig, image="kato-service:other")
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "RollingOut")


async def test_a_rollout_that_the_deployment_gives_up_is_told(rig: Rig) -> None:
    await running(rig)
    await applied(rig, image="kato-service:other")
    await rig.pod_ends("broad")
    deployment = rig.get(DEPLOYMENT, "kato-broad")
    given_up = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    rig.cluster.put(DEPLOYMENT, {**deployment, "status": {**deployment["status"], "conditions": [given_up]}})
    await rig.settle()
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "PodsNotReady")


async def test_a_processor_that_is_resumed_warns_no_one(rig: Rig) -> None:
    await running(rig)
    await applied(rig, suspend=True)
    await rig.pod_ends("broad")
    await applied(rig)
    assert rig.condition(PROCESSOR, "broad", "Ready") == ("False", "RollingOut")
    assert {happening.type for happening in rig.cluster.happenings} == {"Normal"}


async def test_events_are_told_once_for_each_transition(rig: Rig) -> None:
    await running(rig)
    await rig.forward(600)
    await rig.pod_ends("broad")
    await rig.pod_runs("broad", fresh=False)
    assert rig.events() == ["Ready", "PodsNotReady", "Ready"]
