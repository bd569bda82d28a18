"""The chart renders to what is meant: golden files, the CRDs' own text, pods that any namespace takes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kato_operator.local.api_yaml import Loader
from tests.chart.rendering import (
    CHART,
    CLUSTER,
    SETS,
    Document,
    documents,
    golden_of,
    helm,
    pods,
    render,
    values_of,
    without_crds,
)

# Images that would run as root, or as a user by name, unless they are told otherwise.
USERS = {"nginx": 101, "mongodb": 999, "redis": 999}
CRDS = CHART.parents[1] / "crds"


@pytest.mark.parametrize("name", SETS)
def test_lint_finds_nothing(name: str) -> None:
    done = helm("lint", "--strict", str(CHART), "--values", str(values_of(name)))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SETS)
def test_rendering_is_what_was_agreed(name: str) -> None:
    assert without_crds(render(name)) == golden_of(name).read_text(), "meant? run python -m tests.chart.rendering"


def test_definitions_are_those_of_the_models_and_outlive_the_release() -> None:
    source = {}
    for path in CRDS.glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        source[document["metadata"]["name"]] = document["spec"]
    rendered = documents("default", "CustomResourceDefinition")
    assert {document["metadata"]["name"]: document["spec"] for document in rendered} == source
    assert len(source) == 2
    for document in rendered:
        assert document["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_the_chart_has_the_version_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_a_second_release_brings_no_definitions_and_no_user_roles() -> None:
    assert not documents("namespaced", "CustomResourceDefinition")
    assert not {"kato-viewer", "kato-editor"} & {
        found["metadata"]["name"] for found in documents("namespaced", "ClusterRole")
    }


@pytest.mark.parametrize("name", SETS)
def test_every_pod_meets_the_restricted_profile(name: str) -> None:
    seen = []
    for kind, spec in pods(name):
        seen.append(kind)
        # The stores write to volumes.
        group = {"fsGroup": 999} if kind == "StatefulSet" else {}
        security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert spec["securityContext"] == security | group
        assert spec["enableServiceLinks"] is False
        for container in spec["containers"]:
            user = {"runAsUser": USERS[container["name"]]} if container["name"] in USERS else {}
            assert container["securityContext"] == user | {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]["memory"]
            assert not container["image"].endswith(":latest")
            if kind in ("Deployment", "StatefulSet"):
                assert {"readinessProbe", "livenessProbe"} <= container.keys()
        assert "hostPath" not in {source for volume in spec.get("volumes", ()) for source in volume}
    stores = ["StatefulSet"] * 2 if name == "trial" else []
    assert sorted(seen) == ["Deployment"] * (2 if name == "everything" else 1) + ["Job", "Pod", *stores]


def test_bundled_stores_are_those_that_the_operator_reads() -> None:
    (secret,) = documents("trial", "Secret")
    (operator,) = documents("trial", "Deployment")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    for store, key in (("MONGODB", "uri"), ("REDIS", "url")):
        assert told[f"KATO_OPERATOR_STORES_{store}_SECRET"] == secret["metadata"]["name"]
        assert told[f"KATO_OPERATOR_STORES_{store}_KEY"] == key
    places = {
        f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port['port']}"
        for service in documents("trial", "Service")
        for port in service["spec"]["ports"]
    }
    for address in secret["stringData"].values():
        assert address.split("/")[2] in places


def test_bundled_stores_without_volumes_keep_their_data_in_their_pods() -> None:
    flags = ("--set", "stores.bundled.persistence.enabled=false")
    for document in yaml.safe_load_all(render("trial", *flags)):
        if document["kind"] == "StatefulSet":
            assert "volumeClaimTemplates" not in document["spec"]
            (data,) = [v for v in document["spec"]["template"]["spec"]["volumes"] if v["name"] == "data"]
            assert data["emptyDir"] == {"sizeLimit": "5Gi"}


def test_the_test_processor_lies_where_the_operator_looks() -> None:
    (default,) = documents("default", "KatoProcessor")
    (elsewhere,) = documents("namespaced", "KatoProcessor")
    assert default["metadata"]["namespace"] == "kato-system"
    assert elsewhere["metadata"]["namespace"] == "team-a"


def everywhere(text: str) -> Document:
    """Return values in which `text` stands wherever a user's own name or version may."""
    image = {"tag": text}
    return {
        "image": image,
        "serviceImage": image,
        "imagePullSecrets": [{"name": text}],
        "watchNamespaces": [text],
        "stores": {"external": {store: {"secret": text, "key": text} for store in ("mongodb", "redis")}},
        "metrics": {kind: {"enabled": True, "labels": {text: text}} for kind in ("serviceMonitor", "prometheusRule")},
        "networkPolicy": {"enabled": True},
        "gateway": {"enabled": True, "image": image},
        "priorityClassName": text,
        "podAnnotations": {text: text},
        "podLabels": {text: text},
        "serviceAccount": {"annotations": {text: text}},
        "nodeSelector": {text: text},
    }


def bundled(text: str) -> Document:
    store = {"image": {"tag": text}}
    volumes = {"storageClassName": text}
    return {"stores": {"bundled": {"enabled": True, "persistence": volumes, "mongodb": store, "redis": store}}}


@pytest.mark.parametrize("values", [everywhere, bundled])
def test_names_that_look_like_numbers_stay_texts(values: Callable[[str], Document], tmp_path: Path) -> None:
    def shapes(release: str, name: str) -> list[object]:
        file = tmp_path / "values.json"
        file.write_text(json.dumps(values(name)))
        done = helm("template", release, str(CHART), "--namespace", name, "--values", str(file), *CLUSTER)
        assert done.returncode == 0, done.stderr
        return [shape(document, name) for document in yaml.load_all(done.stdout, Loader)]

    assert shapes("1e5", "870737e6") == shapes("1x5", "870737x6")


def shape(value: object, name: str) -> object:
    """Return a document with the types of its values in their places."""
    if isinstance(value, dict):
        return {"name" if key == name else key: shape(inner, name) for key, inner in value.items()}
    return [shape(inner, name) for inner in value] if isinstance(value, list) else type(value)
