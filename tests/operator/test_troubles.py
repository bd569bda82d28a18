"""What the schema lets through and cannot work is said within 10 s, and heals by itself when its cause goes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.cluster.cache import Image
from tests.support.eventually import eventually
from tests.support.operator.space import PATIENCE, PROMISED, Space


def message(space: Space, reference: str, kind: str = "Degraded") -> str:
    known = space.get(reference)["status"]["conditions"]
    return str(next(condition["message"] for condition in known if condition["type"] == kind))


@pytest.fixture
def no_pods(space: Space) -> Iterator[str]:
    """A quota under which no pod can be made."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    try:
        space.kubectl("apply", "-f", "-", stdin=json.dumps(quota))
        eventually(lambda: space.get("quota/none").get("status", {}).get("hard"), promised=PROMISED)
        yield "quota/none"
    finally:
        space.kubectl("delete", "quota/none", "--ignore-not-found")


def test_a_quota_that_admits_no_pod(space: Space, no_pods: str) -> None:
    space.processor("many")
    space.reaches("kproc/many", "Ready", "False", "QuotaExceeded")
    assert "exceeded quota: none" in message(space, "kproc/many")
    space.kubectl("delete", no_pods)
    space.ready("many")
    space.reaches("kproc/many", "Degraded", "False")
    space.kubectl("delete", "kproc/many")


def test_a_service_that_ends_at_once(space: Space, project_images: list[Image]) -> None:
    (other,) = [image.name for image in project_images if "operator" in image.name]
    space.processor("crashing", image=other)
    space.reaches("kproc/crashing", "Degraded", "True", within=PATIENCE)
    assert space.condition("kproc/crashing", "Ready")[1] in {"ContainerExited", "CrashLoopBackOff"}
    assert "exit code" in message(space, "kproc/crashing")
    assert space.condition("kproc/crashing", "Degraded")[0] == "True", "it is started again and again, and no better"
    space.processor("crashing")
    space.ready("crashing")
    space.reaches("kproc/crashing", "Degraded", "False")
    space.kubectl("delete", "kproc/crashing")


def test_a_pod_that_no_node_can_take(space: Space) -> None:
    space.processor("choosy", nodeSelector={"disk": "of-gold"})
    space.reaches("kproc/choosy", "Ready", "False", "Unschedulable")
    space.kubectl("delete", "kproc/choosy")


def test_what_the_api_server_refuses_to_make(space: Space) -> None:
    terms: dict[str, object] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    space.processor("odd", affinity={"nodeAffinity": terms})
    space.reaches("kproc/odd", "Degraded", "True", "InvalidSpec")
    assert "nodeSelectorTerms" in message(space, "kproc/odd")
    space.processor("odd")
    space.ready("odd")
    space.kubectl("delete", "kproc/odd")


def test_what_the_schema_cannot_see(space: Space) -> None:
    space.kubectl("apply", "-f", "-", stdin=json.dumps(bare("plain", replicas=3)))
    space.reaches("kproc/plain", "Degraded", "True", "InvalidSpec")
    assert message(space, "kproc/plain") == "spec.replicas: 3 is not allowed; allowed: 0 or 1 with embedded storage"
    space.kubectl("delete", "kproc/plain")


def bare(name: str, **spec: object) -> dict[str, object]:
    """Return a processor that says nothing of its storage."""
    return {"apiVersion": "kato.dev/v1alpha1", "kind": "KatoProcessor", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("kind", ["service", "deployment", "serviceaccount"])
def test_a_foreign_object_in_the_way(space: Space, kind: str) -> None:
    bodies: dict[str, dict[str, object]] = {
        "service": {"spec": {"ports": [{"port": 1}]}},
        "deployment": {
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"name": "c", "image": "nothing"}]},
                },
            }
        },
        "serviceaccount": {},
    }
    foreign = bodies[kind]
    head = {"apiVersion": "apps/v1" if kind == "deployment" else "v1", "kind": NAMES[kind]}
    space.kubectl("apply", "-f", "-", stdin=json.dumps({**head, "metadata": {"name": "kato-second"}, **foreign}))
    before = space.get(f"{kind}/kato-second")
    space.processor("second")
    space.reaches("kproc/second", "Degraded", "True", "NameConflict")
    after = space.get(f"{kind}/kato-second")
    assert (after.get("spec"), after["metadata"].get("labels")) == (
        before.get("spec"),
        before["metadata"].get("labels"),
    )
    space.kubectl("delete", f"{kind}/kato-second")
    space.ready("second")
    space.reaches("kproc/second", "Degraded", "False")
    space.kubectl("delete", "kproc/second")
    # Each of them, for the next foreign one to find its place free.
    eventually(lambda: not any(space.find(f"{child}/kato-second") for child in NAMES), timeout=PATIENCE)


NAMES = {"service": "Service", "deployment": "Deployment", "serviceaccount": "ServiceAccount"}


def test_a_session_of_another_user_than_before(space: Space) -> None:
    space.processor("host")
    space.ready("host")
    space.session("guest", "host")
    space.reaches("ksess/guest", "Ready", "True")
    space.session("guest", "host", userId="someone-else")
    space.reaches("ksess/guest", "Ready", "False", "RefusedByProcessor")
    space.kubectl("delete", "kproc/host", "ksess/guest")


def test_a_bad_object_does_not_hold_up_a_good_one(space: Space) -> None:
    for number in range(5):
        space.processor(f"bad-{number}", nodeSelector={"disk": "of-gold"})
    space.processor("good")
    space.ready("good")
    space.kubectl("delete", "kproc", "--all")
