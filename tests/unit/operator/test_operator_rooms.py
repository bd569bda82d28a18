"""The small parts: cache, manifests against the restricted profile, transitions, settings, rules."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from pydantic import ValidationError

from kato_operator.cluster.rules import LEASE_RULES, RULES
from kato_operator.desired.children import children
from kato_operator.desired.kinds import POD, SERVICE, SESSION, Manifest
from kato_operator.reconcile.cache import Cache
from kato_operator.reconcile.ports import Key
from kato_operator.reconcile.queue import WorkQueue
from kato_operator.settings import OperatorSettings
from kato_operator.status.conditions import Finding, conditions
from kato_operator.status.transitions import transitions
from kato_operator.telemetry.metrics import Telemetry
from tests.support.operator.subjects import EVERYTHING, SHARED, subject


def made(**spec: object) -> dict[str, Manifest]:
    return {manifest["kind"]: manifest for manifest in children(subject(**spec), None)}


@pytest.mark.parametrize("spec", [{}, EVERYTHING])
def test_pods_meet_the_restricted_profile(spec: dict[str, object]) -> None:
    pod = made(**spec)["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert {"startupProbe", "livenessProbe", "readinessProbe", "lifecycle"} <= container.keys()


def test_every_field_of_the_spec_reaches_its_place() -> None:
    found = made(**EVERYTHING)
    template = found["Deployment"]["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("mine:1", "Never")
    assert container["resources"] == EVERYTHING["resources"]
    assert {"name": "TZ", "value": "UTC"} in container["env"]
    secret = {"name": "KATO_TOKENS", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "tokens"}}}
    assert secret in container["env"]
    for field in ("imagePullSecrets", "nodeSelector", "affinity", "priorityClassName", "serviceAccountName"):
        assert pod[field] == EVERYTHING[field]
    assert pod["tolerations"] == EVERYTHING["tolerations"]
    assert pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]["kato.dev/processor"] == "p"
    assert template["metadata"]["labels"]["kato.dev/processor"] == "p"
    assert template["metadata"]["labels"]["team"] == "x"
    assert template["metadata"]["annotations"]["note"] == "1"
    assert found["Service"]["spec"]["type"] == "NodePort"
    assert "ServiceAccount" not in found


def test_no_secret_stands_in_any_manifest_but_its_own() -> None:
    for manifest in children(subject(), None):
        assert "secret-token" not in str(manifest)


def test_shared_stores_get_a_rolling_update_a_budget_and_an_autoscaler() -> None:
    found = made(**SHARED)
    assert found["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    target = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("KatoProcessor", "p")
    assert "PersistentVolumeClaim" not in found
    assert made()["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}


def test_an_ephemeral_memory_is_bounded_by_its_size() -> None:
    found = made(storage={"embedded": {"size": "2Gi", "ephemeral": True}})
    volumes = found["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "data", "emptyDir": {"sizeLimit": "2Gi"}} in volumes
    assert "PersistentVolumeClaim" not in found


def thing(uid: str, version: int, name: str = "a", processor: str = "p") -> Manifest:
    metadata = {"name": name, "namespace": "s", "uid": uid, "resourceVersion": str(version)}
    return POD.manifest(metadata | {"labels": {"kato.dev/processor": processor}})


def test_the_cache_keeps_the_newest_version() -> None:
    cache = Cache()
    assert cache.put(POD, thing("1", 5))
    assert not cache.put(POD, thing("1", 5))
    assert not cache.put(POD, thing("1", 4))
    assert cache.put(POD, thing("1", 10))
    assert cache.versions(POD) == {("s", "a"): "10"}


def test_news_of_an_earlier_object_of_the_name_changes_nothing() -> None:
    cache = Cache()
    cache.put(POD, thing("2", 9))
    assert not cache.remove(POD, thing("1", 8))
    assert cache.get(POD, "s", "a")


def test_a_late_answer_does_not_bring_back_what_is_gone() -> None:
    cache = Cache()
    cache.put(POD, thing("1", 5))
    cache.remove(POD, thing("1", 7))
    assert not cache.put(POD, thing("1", 6))
    assert cache.put(POD, thing("1", 8))


def test_members_follow_the_label() -> None:
    cache = Cache()
    cache.put(POD, thing("1", 1))
    cache.put(POD, thing("1", 2, processor="q"))
    assert cache.of_processor(POD, "s", "p") == []
    assert [item["metadata"]["name"] for item in cache.of_processor(POD, "s", "q")] == ["a"]
    cache.remove(POD, thing("1", 3))
    assert cache.of_processor(POD, "s", "q") == []


def at(second: int) -> datetime:
    return datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)


def status(*findings: Finding, before: Manifest | None = None, now: int = 0) -> Manifest:
    known = (before or {}).get("conditions", ())
    return {"conditions": conditions(findings, known, generation=1, now=at(now))}


def test_the_transition_time_moves_with_the_status_alone() -> None:
    first = status(Finding("Ready", "False", "One"))
    second = status(Finding("Ready", "False", "Two", "more"), before=first, now=5)
    third = status(Finding("Ready", "True", "Done"), before=second, now=9)
    times = [found["conditions"][0]["lastTransitionTime"] for found in (first, second, third)]
    assert times == ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, Finding("Ready", "False", "PodsNotReady"), []),
        (None, Finding("Ready", "True", "PodsReady"), [("Normal", "Ready")]),
        (Finding("Ready", "False", "X"), Finding("Ready", "True", "PodsReady"), [("Normal", "Ready")]),
        (Finding("Ready", "True", "PodsReady"), Finding("Ready", "True", "PodsReady", "other words"), []),
        (Finding("Ready", "True", "PodsReady"), Finding("Ready", "False", "Suspended"), [("Normal", "Suspended")]),
        (None, Finding("Degraded", "False", "AsWanted"), []),
        (None, Finding("Degraded", "True", "NameConflict"), [("Warning", "NameConflict")]),
        (Finding("Degraded", "True", "A"), Finding("Degraded", "True", "B"), [("Warning", "B")]),
        (Finding("Degraded", "True", "A"), Finding("Degraded", "False", "AsWanted"), [("Normal", "Recovered")]),
        (Finding("Ready", "True", "A"), Finding("Ready", "Unknown", "Paused"), []),
    ],
)
def test_transitions_are_told_and_nothing_else(
    before: Finding | None, after: Finding, told: list[tuple[str, str]]
) -> None:
    old = status(before) if before else {}
    found = transitions(old, status(after, before=old, now=5))
    assert [(transition.type, transition.reason) for transition in found] == told


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATO_OPERATOR_WATCH_NAMESPACES", "a, b")
    assert OperatorSettings().watch_namespaces == ("a", "b")


def test_a_setting_that_is_spelt_wrong_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATO_OPERATOR_WACH_NAMESPACES", "a")
    with pytest.raises(ValidationError, match="KATO_OPERATOR_WACH_NAMESPACES"):
        OperatorSettings()


def test_the_rules_grant_no_more_than_is_needed() -> None:
    granted = {(rule.group, resource): rule.verbs for rule in (*RULES, *LEASE_RULES) for resource in rule.resources}
    assert not {"*"} & {part for key, verbs in granted.items() for part in (*key, *verbs)}
    assert set(granted["", "secrets"]) == {"get", "create", "patch"}
    assert not any(resource.startswith("pods/") for _, resource in granted)
    assert set(granted["", "pods"]) == {"get", "list", "watch"}
    assert SERVICE.plural in {resource for _, resource in granted}
    assert (SESSION.group, "katosessions/status") in granted


def test_the_documentation_lists_every_setting() -> None:
    page = (Path(__file__).parents[3] / "docs/operator.md").read_text()
    listed = dict(re.findall(r"^\| `KATO_OPERATOR_(\w+)` \| (.+?) \|", page, re.MULTILINE))
    fields = OperatorSettings.model_fields
    assert listed == {name.upper(): field.description for name, field in fields.items()}


def test_the_documentation_lists_every_metric() -> None:
    page = (Path(__file__).parents[3] / "docs/operator.md").read_text()
    telemetry = Telemetry(WorkQueue(lambda: 1.0), Cache(), lambda: 0.0, watch_limit=1)
    telemetry.reconciled(Key("KatoProcessor", "a", "b"), "ok", 1.0)
    names = set(re.findall(r"^# TYPE (\w+)", generate_latest(telemetry.registry).decode(), re.MULTILINE))
    assert {name for name in names if not name.endswith("_created")} == set(re.findall(r"`(kato_operator_\w+)`", page))
