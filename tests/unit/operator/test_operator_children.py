"""What each child says, as operator.md has it: labels, owners, strategy, ports, budgets, and what comes and goes."""

from __future__ import annotations

from typing import Any

import pytest

from kato_operator.desired.children import children, unwanted
from kato_operator.desired.kinds import AUTOSCALER, DISRUPTION_BUDGET, SERVICE_ACCOUNT, Manifest
from tests.support.operator.subjects import EVERYTHING, SHARED, subject

PORTS = [{"port": 8000, "protocol": "TCP"}, {"port": 8081, "protocol": "TCP"}]


def made(**spec: object) -> dict[str, Manifest]:
    return {manifest["kind"]: manifest for manifest in children(subject(**spec), None)}


@pytest.mark.parametrize("spec", [{}, EVERYTHING, SHARED], ids=["plain", "everything", "shared"])
def test_every_child_is_named_labelled_and_owned(spec: dict[str, Any]) -> None:
    for kind, manifest in made(**spec).items():
        metadata = manifest["metadata"]
        suffix = {"Secret": "-internal", "PersistentVolumeClaim": "-memory"}.get(kind, "")
        assert (metadata["name"], metadata["namespace"]) == (f"kato-p{suffix}", "space")
        assert metadata["labels"] == {
            "app.kubernetes.io/name": "kato",
            "app.kubernetes.io/instance": "kato-p",
            "app.kubernetes.io/component": "processor",
            "app.kubernetes.io/part-of": "kato",
            "app.kubernetes.io/managed-by": "kato-operator",
            "kato.dev/processor": "p",
        }
        if kind == "PersistentVolumeClaim":
            assert "ownerReferences" not in metadata
        else:
            (owner,) = metadata["ownerReferences"]
            assert owner == {
                "apiVersion": "kato.dev/v1alpha1",
                "kind": "KatoProcessor",
                "name": "p",
                "uid": "uid",
                "controller": True,
                "blockOwnerDeletion": True,
            }


def test_the_policy_lets_in_two_ports_and_says_nothing_of_what_goes_out() -> None:
    spec = made()["NetworkPolicy"]["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"ports": PORTS}]
    assert "egress" not in spec


def test_the_service_has_the_port_asked_for_and_the_container_always_its_own() -> None:
    found = made(port=9000)
    (port,) = found["Service"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (9000, "http")
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"http": 8000, "internal": 8081}


@pytest.mark.parametrize(("replicas", "budget"), [(0, False), (1, False), (2, True), (7, True)])
def test_a_budget_from_two_replicas_on(replicas: int, budget: bool) -> None:
    found = made(**{**SHARED, "replicas": replicas})
    assert ("PodDisruptionBudget" in found) is budget
    assert found["Deployment"]["spec"]["replicas"] == replicas
    kinds = [DISRUPTION_BUDGET] if not budget else []
    assert unwanted(list(found.values())) == kinds


def test_an_autoscaler_has_the_bounds_asked_for_and_goes_while_suspended() -> None:
    scaling = {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilization": 60}
    spec = made(**{**SHARED, "autoscaling": scaling})["HorizontalPodAutoscaler"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 60}
    assert spec["scaleTargetRef"] == {"apiVersion": "kato.dev/v1alpha1", "kind": "KatoProcessor", "name": "p"}
    suspended = list(made(**SHARED, suspend=True).values())
    assert {AUTOSCALER, DISRUPTION_BUDGET} == set(unwanted(suspended))


def test_an_account_of_the_users_own_replaces_ours() -> None:
    assert made()["ServiceAccount"]["automountServiceAccountToken"] is False
    assert SERVICE_ACCOUNT in unwanted(list(made(serviceAccountName="own").values()))


def test_a_suspended_processor_keeps_everything_but_its_pods() -> None:
    found, before = made(suspend=True), made()
    assert found.keys() == before.keys()
    assert found["Deployment"]["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"recallThreshold": 0.9}},
        {"sessions": {"ttlSeconds": 1, "maxActive": 3}},
        {"displayName": "Other"},
        {"port": 9000},
        {"deletionPolicy": "Delete"},
        {"serviceAnnotations": {"a": "b"}},
    ],
)
def test_what_needs_no_new_pod_makes_none(change: dict[str, Any]) -> None:
    assert made(**change)["Deployment"] == made()["Deployment"]


def test_small_requests_and_a_memory_limit_unless_asked_otherwise() -> None:
    (container,) = made()["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert container["resources"]["limits"].keys() == {"memory"}
