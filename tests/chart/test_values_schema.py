"""What values.schema.json refuses, it refuses with the name of the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, RELEASE, SETS, helm, render, values_of

# what is set -> the words that must stand in the message
REFUSED = {
    "replicas=0": "replicas",
    "replicas=3": "replicas",
    "replicas=two": "replicas",
    "replicaCount=2": "replicaCount",
    "image.repository=": "repository",
    "image.tag=a b": "tag",
    "image.registry=example": "registry",
    "image.pullPolicy=Sometimes": "pullPolicy",
    "serviceImage.pullPolicy=Never": "pullPolicy",
    "imagePullSecrets[0]=secret": "imagePullSecrets",
    "crds.enabled=maybe": "enabled",
    "crds.keep=true": "keep",
    "watchNamespaces={Team_A}": "watchNamespaces",
    "watchNamespaces={a,a}": "watchNamespaces",
    "watchNamespaces=a": "watchNamespaces",
    "cleanupDeadlineSeconds=0": "cleanupDeadlineSeconds",
    "cleanupDeadlineSeconds=1m": "cleanupDeadlineSeconds",
    "logLevel=loud": "logLevel",
    "serviceAccount.name=other": "name",
    "resources.limits.memory=much": "memory",
    "tolerations[0].effects=NoSchedule": "effects",
    "podAnnotations.port=8080": "port",
    "podLabels.helm\\.sh/chart=mine": "helm.sh/chart",
    "stores.bundled.enabled=maybe": "enabled",
    "stores.bundled.persistence.size=0": "size",
    "stores.bundled.persistence.size=big": "size",
    "stores.bundled.persistence.storageClassName=Fast": "storageClassName",
    "stores.bundled.redis.image.tag=": "tag",
    "stores.bundled.mongodb.password=hush": "password",
    "stores.bundled.enabled=true,stores.external.mongodb.secret=m,stores.external.redis.secret=r": "secret",
    "stores.external.mongodb.secret=m": "redis",
    "stores.external.redis.secret=r": "redis",
    "stores.external.mongodb.uri=mongodb://m": "uri",
    "stores.external.mongodb.secret=Mine": "secret",
    "metrics.serviceMonitor.interval=often": "interval",
    "metrics.prometheusRule.rules=mine": "rules",
    "networkPolicy.enabled=maybe": "enabled",
    "gateway.replicas=0": "replicas",
    "gateway.image.tag=": "tag",
    "gateway.clusterDomain=Cluster_Local": "clusterDomain",
    "gateway.serviceType=ExternalName": "serviceType",
}

# every value that some set of the golden files changes
CHANGED: dict[str, Any] = {}
for _name in SETS:
    CHANGED |= yaml.safe_load(values_of(_name).read_text()) or {}


@pytest.mark.parametrize("setting", REFUSED)
def test_bad_value_is_refused_by_name(setting: str) -> None:
    done = helm("template", *RELEASE, "--set", setting)
    assert done.returncode != 0
    assert REFUSED[setting] in done.stderr


def test_every_value_is_in_the_schema_and_every_property_has_a_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values)  # helm adds `global` by itself


@pytest.mark.parametrize("key", sorted(CHANGED))
def test_no_value_is_dead(key: str, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({key: CHANGED[key]}))
    assert render("default", "--values", str(values)) != render("default")


def test_the_golden_files_change_every_value() -> None:
    assert set(CHANGED) == set(yaml.safe_load((CHART / "values.yaml").read_text()))
