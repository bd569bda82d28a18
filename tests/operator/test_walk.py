"""A KatoProcessor on a real cluster: made, repaired, changed without a restart, stopped and gone."""

from __future__ import annotations

import json

import pytest

from tests.support.eventually import eventually
from tests.support.operator.process import OperatorProcess
from tests.support.operator.space import COUNTED, PATIENCE, PROMISED, Space

CHILDREN = (
    "deployment/kato-broad",
    "service/kato-broad",
    "configmap/kato-broad",
    "serviceaccount/kato-broad",
    "networkpolicy/kato-broad",
    "secret/kato-broad-internal",
)


@pytest.fixture(scope="module")
def broad(space: Space) -> Space:
    """The namespace with a processor that is Ready."""
    space.processor("broad", parameters={"recallThreshold": 0.5})
    space.ready("broad")
    return space


def test_it_serves_what_its_status_says(broad: Space) -> None:
    status = broad.get("kproc/broad")["status"]
    assert status["endpoint"] == f"http://kato-broad.{broad.namespace}.svc:8000"
    assert (status["replicas"], status["readyReplicas"]) == (1, 1)
    assert broad.ask("GET", "broad", "/ping")["id"] == "broad"
    broad.reaches("kproc/broad", "ParametersLive", "True", "Live")
    broad.reaches("kproc/broad", "Degraded", "False")
    eventually(lambda: "Ready" in broad.events("broad"), promised=PROMISED)


def test_a_change_of_parameters_is_live_without_a_restart(broad: Space) -> None:
    pod = broad.pod("broad")
    broad.processor("broad", displayName="Renamed", parameters={"maxPredictions": 7})
    generation = broad.get("kproc/broad")["metadata"]["generation"]
    eventually(lambda: broad.get("kproc/broad")["status"]["observedGeneration"] == generation, promised=PROMISED)
    broad.reaches("kproc/broad", "ParametersLive", "True")
    session = broad.ask("POST", "broad", "/sessions", {"user_id": "a"})["session_id"]
    config = broad.ask("GET", "broad", f"/sessions/{session}/config")["config"]
    assert (config["max_predictions"], config["recall_threshold"]) == (7, 0.1)
    assert broad.ask("GET", "broad", "/ping")["name"] == "Renamed"
    after = broad.pod("broad")
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.mark.parametrize("child", CHILDREN)
def test_a_deleted_child_is_back_within_10_s(broad: Space, child: str) -> None:
    uid = broad.get(child)["metadata"]["uid"]
    broad.kubectl("delete", child)
    eventually(lambda: (broad.find(child) or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid, promised=PROMISED)
    broad.ready("broad")


SPREAD = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {"matchLabels": {"kato.dev/processor": "broad"}}}
        ]
    }
}
EDITS: list[tuple[str, object]] = [
    ("deployment", {"spec": {"replicas": 3}}),
    ("deployment", {"spec": {"paused": True}}),
    ("deployment", {"spec": {"template": {"spec": {"hostNetwork": True, "nodeName": "elsewhere"}}}}),
    ("deployment", {"spec": {"template": {"spec": {"nodeSelector": {"disk": "of-gold"}, "affinity": SPREAD}}}}),
    ("deployment", {"spec": {"template": {"spec": {"initContainers": [{"name": "more", "image": "nothing"}]}}}}),
    ("service", {"spec": {"selector": {"more": "x"}}}),
    ("service", {"spec": {"ports": [{"port": 1}]}}),
    ("configmap", {"data": {"parameters.json": "{}"}}),
    ("configmap", {"data": {"more": "x"}}),
    ("secret", {"data": {"more": "eA=="}}),
    ("secret", {"data": {"token": "eA=="}}),
    ("networkpolicy", {"spec": {"ingress": [{}]}}),
    ("serviceaccount", {"metadata": {"ownerReferences": None}}),
    ("service", {"metadata": {"labels": None}}),
]


@pytest.mark.parametrize(("kind", "edit"), EDITS)
def test_an_edited_child_is_set_right_within_10_s(broad: Space, kind: str, edit: object) -> None:
    reference = f"{kind}/kato-broad{'-internal' if kind == 'secret' else ''}"
    before = content(broad, reference)
    broad.kubectl("patch", reference, "--type=merge", "--patch", json.dumps(edit))
    eventually(lambda: content(broad, reference) == before, promised=PROMISED)


def test_a_command_that_someone_gives_the_pods_is_taken_away(broad: Space) -> None:
    before = content(broad, "deployment/kato-broad")
    command = [{"op": "add", "path": "/spec/template/spec/containers/0/command", "value": ["sleep", "9"]}]
    broad.kubectl("patch", "deployment/kato-broad", "--type=json", "--patch", json.dumps(command))
    eventually(lambda: content(broad, "deployment/kato-broad") == before, promised=PROMISED)
    broad.ready("broad")


def test_a_variable_that_someone_adds_to_the_pods_is_taken_away(broad: Space) -> None:
    before = content(broad, "deployment/kato-broad")
    broad.kubectl("set", "env", "deployment/kato-broad", "MORE=1")
    eventually(lambda: content(broad, "deployment/kato-broad") == before, promised=PROMISED)
    broad.ready("broad")


def content(space: Space, reference: str) -> object:
    """Return what of a child is the operator's; the API server does not keep what is empty."""
    found = space.get(reference)
    owners = [owner["uid"] for owner in found["metadata"].get("ownerReferences", ())]
    return found.get("spec"), found.get("data"), owners, found["metadata"].get("labels")


def test_a_settled_processor_costs_no_write(broad: Space, operator: OperatorProcess) -> None:
    # An edit before may have begun to replace the pod.
    broad.kubectl("rollout", "status", "deployment/kato-broad", f"--timeout={PATIENCE:.0f}s")
    broad.ready("broad")
    eventually(lambda: counted_out(broad), promised=COUNTED + PROMISED, interval=1)
    eventually(lambda: not written_in(operator, reconciles=2), timeout=PATIENCE)  # the repairs before have an end
    assert written_in(operator, reconciles=3) == {}
    assert operator.metric("kato_operator_reconciles_total", outcome="error") == 0
    assert operator.ask("/livez").status_code == 200


def written_in(operator: OperatorProcess, *, reconciles: int) -> dict[str, float]:
    """Return what was written, and how often, while processors were looked at so many times."""

    def looked() -> float:
        return operator.metric("kato_operator_reconciles_total", kind="KatoProcessor")

    before, end = operator.series("kato_operator_writes_total"), looked() + reconciles
    eventually(lambda: looked() >= end, timeout=60)
    return {
        series: count - before.get(series, 0)
        for series, count in operator.series("kato_operator_writes_total").items()
        if count != before.get(series, 0)
    }


def counted_out(space: Space) -> bool:
    """Say whether the status counts the sessions that there are."""
    there = space.ask("GET", "broad", "/sessions/count")["active_session_count"]
    return bool(space.get("kproc/broad")["status"]["activeSessions"] == there)


def test_suspend_stops_the_pod_and_keeps_the_object(broad: Space) -> None:
    broad.kubectl("patch", "kproc/broad", "--type=merge", "--patch", '{"spec":{"suspend":true}}')
    broad.reaches("kproc/broad", "Ready", "False", "Suspended", within=PATIENCE)
    eventually(lambda: broad.get("kproc/broad")["status"]["replicas"] == 0, timeout=PATIENCE)
    broad.kubectl("patch", "kproc/broad", "--type=merge", "--patch", '{"spec":{"suspend":false}}')
    broad.ready("broad")


def test_a_rollout_that_was_asked_for_warns_no_one(space: Space) -> None:
    space.processor("rolled")
    space.ready("rolled")
    uid = space.pod("rolled")["metadata"]["uid"]
    space.kubectl("patch", "kproc/rolled", "--type=merge", "--patch", '{"spec":{"podAnnotations":{"a":"b"}}}')
    eventually(lambda: space.get("kproc/rolled")["status"]["observedGeneration"] == 2, promised=PROMISED)
    space.ready("rolled")
    assert "RollingOut" in space.events("rolled")
    assert space.pod("rolled")["metadata"]["uid"] != uid
    assert "PodsNotReady" not in space.events("rolled")
    space.kubectl("delete", "kproc/rolled")


def test_kubectl_scale_goes_by_the_status_subresource(broad: Space) -> None:
    broad.kubectl("scale", "kproc/broad", "--replicas=0")
    broad.reaches("kproc/broad", "Ready", "False", "NoReplicas", within=PATIENCE)
    broad.kubectl("scale", "kproc/broad", "--replicas=1")
    broad.ready("broad")


def test_the_operator_sees_what_changed_while_it_was_away(broad: Space, operator: OperatorProcess) -> None:
    assert operator.stop() == 0
    broad.kubectl("delete", "service/kato-broad")
    broad.kubectl("patch", "kproc/broad", "--type=merge", "--patch", '{"spec":{"port":9000}}')
    operator.start()
    eventually(lambda: broad.find("service/kato-broad"), promised=PROMISED + 10)
    assert broad.get("service/kato-broad")["spec"]["ports"][0]["port"] == 9000
    eventually(lambda: broad.get("kproc/broad")["status"]["endpoint"].endswith(":9000"), promised=PROMISED)


def test_no_child_outlives_its_processor(broad: Space) -> None:
    broad.kubectl("delete", "kproc/broad")
    kinds = "deployments,services,configmaps,serviceaccounts,networkpolicies,secrets,pods"
    selector = "kato.dev/processor=broad"
    eventually(lambda: broad.listing(kinds, selector) == [], timeout=PATIENCE)
