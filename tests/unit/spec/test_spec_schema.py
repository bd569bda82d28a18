"""The CRDs: structural, bounded, described, in step with the models, and as operator.md promises them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kato_spec.generate import main, rendered
from kato_spec.keys import API_VERSION, GROUP, PROCESSOR_NAME_MAX, RESERVED_IDS
from kato_spec.manifests import MODELS
from kato_spec.parameters import Parameters
from kato_spec.processor import KatoProcessorSpec
from kato_spec.reference import page
from kato_spec.schema import definitions
from tests.support.manifests import ROOT

CRDS = dict(definitions())
PROCESSOR, SESSION = (CRDS[f"{plural}.{GROUP}.yaml"] for plural in ("katoprocessors", "katosessions"))
SIZE_MAX = 256 * 1024
FORBIDDEN = {"$ref", "anyOf", "allOf", "oneOf", "not", "title", "const", "nullable", "exclusiveMinimum"}


def version(crd: dict[str, Any]) -> dict[str, Any]:
    (only,) = crd["spec"]["versions"]
    return dict(only)


def root(crd: dict[str, Any]) -> dict[str, Any]:
    return dict(version(crd)["schema"]["openAPIV3Schema"])


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


NODES = [(path, node) for crd in CRDS.values() for path, node in nodes(root(crd))]


def test_every_node_is_structural() -> None:
    assert not [path for path, node in NODES if FORBIDDEN & node.keys()]
    assert not [path for path, node in NODES if any(key.startswith("x-kato") for key in node)]
    assert not [path for path, node in NODES if ("type" in node) == ("x-kubernetes-int-or-string" in node)]


def test_every_field_is_described() -> None:
    # A CRD may not describe metadata, and what a list or map of plain values holds needs no words of its own.
    fields = [(path, node) for path, node in NODES if path != ".metadata" and not path.endswith("[]")]
    assert not [path for path, node in fields if not node.get("description", "").endswith(".")]


def test_everything_is_bounded_so_that_rules_stay_cheap() -> None:
    assert not [path for path, node in NODES if not is_bounded(node) and path not in (".apiVersion", ".kind")]


def is_bounded(node: dict[str, Any]) -> bool:
    kind = node.get("type")
    if kind == "array":
        return "maxItems" in node
    if kind == "object":
        return bool({"maxProperties", "properties"} & node.keys())
    return kind != "string" or bool({"maxLength", "enum", "format"} & node.keys())


def test_every_rule_blames_a_field_that_there_is() -> None:
    rules = [(node, rule) for _, node in NODES for rule in node.get("x-kubernetes-validations", ())]
    assert len(rules) > 20
    for node, rule in rules:
        assert path_exists(node, rule["fieldPath"])
        assert rule["message"].startswith("must be ")


@pytest.mark.parametrize("crd", [PROCESSOR, SESSION], ids=["processor", "session"])
def test_session_parameters_are_those_of_the_service_without_defaults(crd: dict[str, Any]) -> None:
    spec = root(crd)["properties"]["spec"]["properties"]
    shared = spec["parameters" if crd is PROCESSOR else "config"]["properties"]
    assert list(shared) == [field.alias for field in Parameters.model_fields.values()]
    assert not [name for name, field in shared.items() if "default" in field]
    assert shared["recallThreshold"]["description"].endswith("Default: 0.1.")
    assert shared["sortSymbols"]["description"].endswith("Default: true.")
    assert shared["affinityEmotive"]["description"].endswith("metrics.")


def test_defaults_are_the_ones_of_the_models() -> None:
    spec = root(PROCESSOR)["properties"]["spec"]
    assert spec["default"] == {}
    by_alias = KatoProcessorSpec().model_dump(by_alias=True)
    assert {name: field["default"] for name, field in spec["properties"].items() if "default" in field} == {
        name: value for name, value in by_alias.items() if value is not None
    }


def test_storage_is_never_defaulted() -> None:
    storage = root(PROCESSOR)["properties"]["spec"]["properties"]["storage"]
    assert "default" not in storage
    assert not [name for name, branch in storage["properties"].items() if "default" in branch]


def test_the_name_of_a_processor_is_its_id() -> None:
    assert root(PROCESSOR)["properties"]["metadata"]["properties"]["name"]["maxLength"] == PROCESSOR_NAME_MAX
    (reserved,) = root(PROCESSOR)["x-kubernetes-validations"]
    assert all(f"'{name}'" in reserved["rule"] for name in RESERVED_IDS)


@pytest.mark.parametrize(
    ("crd", "short", "shown", "wide"),
    [
        (
            PROCESSOR,
            "kproc",
            ["Display Name", "Ready", "Replicas", "Storage", "Sessions", "Patterns", "Endpoint", "Age"],
            ["Image", "Reason"],
        ),
        (SESSION, "ksess", ["Processor", "User", "Phase", "STM", "Expires", "Age"], []),
    ],
    ids=["processor", "session"],
)
def test_kubectl_shows_what_was_promised(crd: dict[str, Any], short: str, shown: list[str], wide: list[str]) -> None:
    assert crd["spec"]["names"]["shortNames"] == [short]
    assert crd["spec"]["names"]["categories"] == ["kato"]
    columns = version(crd)["additionalPrinterColumns"]
    assert [column["name"] for column in columns if "priority" not in column] == shown
    assert [column["name"] for column in columns if column.get("priority") == 1] == wide
    for column in columns:
        assert path_exists(root(crd), column["jsonPath"])


def path_exists(schema: dict[str, Any], path: str) -> bool:
    if path == ".metadata.creationTimestamp":
        return True
    for step in path.replace('[?(@.type=="Ready")]', ".[]").removeprefix(".").split("."):
        schema = schema.get("items", {}) if step == "[]" else schema.get("properties", {}).get(step, {})
    return bool(schema)


def test_a_processor_scales_and_both_kinds_have_a_status() -> None:
    assert version(PROCESSOR)["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    assert version(SESSION)["subresources"] == {"status": {}}


def test_the_models_name_their_own_version_and_kind() -> None:
    for kind, model in MODELS.items():
        assert model.__name__ == kind
        fields = model.model_json_schema()["properties"]
        assert (fields["apiVersion"]["const"], fields["kind"]["const"]) == (API_VERSION, kind)


@pytest.mark.parametrize("name", CRDS)
def test_the_generated_file_is_as_the_models_have_it(name: str) -> None:
    text = (ROOT / "crds" / name).read_text("utf-8")
    assert text == rendered(CRDS[name])
    assert yaml.safe_load(text) == CRDS[name]
    assert len(text.encode()) < SIZE_MAX


def test_generate_writes_every_directory_and_check_finds_what_is_outdated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert main([str(one), str(two)]) == 0
    assert {path.name for path in two.iterdir()} == set(CRDS)
    assert main(["--check", str(one), str(two)]) == 0
    stale = one / next(iter(CRDS))
    stale.write_text("edited")
    capsys.readouterr()
    assert main(["--check", str(one), str(two)]) == 1
    assert capsys.readouterr().err.startswith(f"{stale} is not as the models have it")
    assert stale.read_text() == "edited"


def test_the_reference_has_every_field_and_every_rule() -> None:
    text = page()
    for document in CRDS.values():
        root = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            for name in root["properties"][part]["properties"]:
                assert f"| `{part}.{name}` | " in text
        for rule in rules(root):
            assert " ".join(rule.split()) in text


def rules(node: object) -> Iterator[str]:
    """Yield the message of every rule below a node."""
    if isinstance(node, dict):
        yield from (rule["message"] for rule in node.get("x-kubernetes-validations", ()))
        for below in node.values():
            yield from rules(below)


def test_the_committed_files_pass_the_check() -> None:
    assert main(["--check"]) == 0
