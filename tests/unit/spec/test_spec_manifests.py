"""The verdict on manifests: the tables of tests/manifests, every problem at once, and no document that breaks it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_spec.errors import Rejected
from kato_spec.keys import processor_id_problem
from kato_spec.manifests import MODELS, NOTHING, InvalidManifest, validate, validate_update
from kato_spec.parameters import Parameters, resolve
from kato_spec.processor import Autoscaling, KatoProcessor, KatoProcessorSpec, Sessions
from kato_spec.rules import RULES
from kato_spec.schema import Schema, tree
from kato_spec.session import KatoSession, KatoSessionSpec
from tests.support.manifests import Document, Invalid, Update, Valid, invalid, updates, valid

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


# A field without the numbers of list items, and what is allowed there.
Place = tuple[str, str]


def processor(name: str = "broad", **spec: object) -> Document:
    return {"apiVersion": "kato.dev/v1alpha1", "kind": "KatoProcessor", "metadata": {"name": name}, "spec": spec}


def session(**spec: object) -> Document:
    spec = {"processorRef": {"name": "broad"}} | spec
    return {"apiVersion": "kato.dev/v1alpha1", "kind": "KatoSession", "metadata": {"name": "reader"}, "spec": spec}


def refusal(document: object, old: Document | None = None) -> InvalidManifest:
    with pytest.raises(InvalidManifest) as caught:
        validate(document) if old is None else validate_update(old, document)
    return caught.value


def fields(document: object, old: Document | None = None) -> set[str]:
    return {problem.field for problem in refusal(document, old).problems}


@pytest.mark.parametrize("row", invalid(), ids=lambda row: row.name)
def test_a_bad_manifest_is_refused_for_its_field_alone(row: Invalid) -> None:
    assert fields(row.manifest) == {row.field}


@pytest.mark.parametrize("row", valid(), ids=lambda row: row.name)
def test_a_good_manifest_is_accepted(row: Valid) -> None:
    assert validate(row.manifest).metadata.name == row.manifest["metadata"]["name"]


@pytest.mark.parametrize("row", updates(), ids=lambda row: row.name)
def test_an_update_is_judged_by_what_was_there_before(row: Update) -> None:
    old, new = row.documents()
    if row.field is None:
        assert validate_update(old, new) == validate(new)
    else:
        assert fields(new, old) == {row.field}


def test_the_tables_break_every_rule_wherever_it_stands() -> None:
    broken = {place for row in invalid() for place in places(row.manifest, refusal(row.manifest))}
    for update in updates():
        if update.field is not None:
            old, new = update.documents()
            broken |= places(new, refusal(new, old))
    rules = {place for kind, model in MODELS.items() for place in rules_below(tree(model), kind)}
    assert rules - broken == set()


def places(document: Document, refused: InvalidManifest) -> set[Place]:
    """Return which field was blamed, whichever item of a list it is of, and what is allowed there."""
    paths = [(["[]" if isinstance(step, int) else step for step in one.path], one.allowed) for one in refused.problems]
    return {(".".join([str(document.get("kind")), *path]), allowed) for path, allowed in paths}


def rules_below(node: Schema, path: str) -> Iterator[Place]:
    """Yield the field that each rule blames, and what is allowed there."""
    yield from ((f"{path}.{rule.reads[0]}", rule.allowed) for rule in node.get(RULES, ()))
    for name, child in node.get("properties", {}).items():
        yield from rules_below(child, f"{path}.{name}")
    if "items" in node:
        yield from rules_below(node["items"], f"{path}.[]")


@pytest.mark.parametrize(
    "field",
    [
        *(f"parameters.{field.alias}" for field in Parameters.model_fields.values()),
        *(f"sessions.{field.alias}" for field in Sessions.model_fields.values()),
        *(f"autoscaling.{field.alias}" for field in Autoscaling.model_fields.values()),
        *(field.alias or name for name, field in KatoProcessorSpec.model_fields.items()),
    ],
)
def test_the_tables_have_a_bad_value_of_every_field_of_a_processor(field: str) -> None:
    blamed = [row.field for row in invalid() if row.manifest.get("kind") == "KatoProcessor"]
    assert [path for path in blamed if re.match(rf"spec\.{field}(\.|\[|$)", path)]


@pytest.mark.parametrize("field", [field.alias or name for name, field in KatoSessionSpec.model_fields.items()])
def test_the_tables_have_a_bad_value_of_every_field_of_a_session(field: str) -> None:
    blamed = [row.field for row in invalid() if row.manifest.get("kind") == "KatoSession"]
    assert [path for path in blamed if re.match(rf"spec\.{field}(\.|\[|$)", path)]


def test_every_problem_of_a_document_is_told_at_once() -> None:
    document = processor(
        "sessions",
        port=0,
        replicas=3,
        storage={"embedded": {"size": "huge"}},
        parameters={"recallThreshold": 2, "recalThreshold": 0.5},
        env=[{"name": "KATO_PORT"}, {"value": "a"}],
    )
    assert fields(document) == {
        "metadata.name",
        "spec.port",
        "spec.replicas",
        "spec.storage.embedded.size",
        "spec.parameters.recallThreshold",
        "spec.parameters.recalThreshold",
        "spec.env[0].name",
        "spec.env[1].name",
    }


def test_a_problem_names_path_value_and_what_is_allowed() -> None:
    error = refusal(processor(parameters={"recallThreshold": 1.5}))
    (problem,) = error.problems
    assert problem.path == ("spec", "parameters", "recallThreshold")
    assert problem.value == 1.5
    assert str(problem) == "spec.parameters.recallThreshold: 1.5 is not allowed; allowed: number 0..1"
    assert isinstance(error, Rejected)
    assert (error.field, error.value, error.allowed) == (problem.field, problem.value, problem.allowed)


def test_a_missing_field_is_told_as_nothing() -> None:
    (problem,) = refusal(processor(auth={})).problems
    assert problem.value is NOTHING
    assert "nothing is not allowed" in str(problem)


def test_an_unknown_field_is_told_with_the_one_that_may_be_meant() -> None:
    (problem,) = refusal(processor(replica=2)).problems
    assert problem.allowed.startswith("replicas, if that is meant; all fields here: displayName, port, replicas")


@pytest.mark.parametrize("document", [None, [], "KatoProcessor", 3])
def test_what_is_no_mapping_is_no_manifest(document: object) -> None:
    assert fields(document) == {"document"}


def test_kind_and_version_are_told_together() -> None:
    assert fields({"apiVersion": "v1", "kind": "Pod"}) == {"apiVersion", "kind"}


@given(st.text(alphabet="aB0-._é/", max_size=50) | st.sampled_from(["sessions", "ws", "session"]))
def test_a_processor_has_exactly_the_names_that_can_be_ids(name: str) -> None:
    if processor_id_problem(name) is None:
        assert validate(processor(name)).metadata.name == name
    else:
        assert fields(processor(name)) == {"metadata.name"}


@given(st.sampled_from(sorted(MODELS)), JSON, JSON)
def test_any_document_is_either_a_manifest_or_refused(kind: str, metadata: object, spec: object) -> None:
    document = {"apiVersion": "kato.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    assert all(told.startswith(("metadata", "spec")) for told in told_of(document))


@given(st.data())
def test_any_value_in_any_field_is_either_good_or_refused(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(valid()))
    path = data.draw(st.sampled_from(sorted(paths(row.manifest.get("spec", {})))))
    document = with_value(row.manifest.get("spec", {}), path, data.draw(JSON))
    assert all(told.startswith("spec") for told in told_of(row.manifest | {"spec": document}))


def told_of(document: Document) -> list[str]:
    try:
        validate(document)
    except InvalidManifest as error:
        return [str(problem) for problem in error.problems]
    return []


def paths(spec: object) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = {("displayName",)}
    if isinstance(spec, dict):
        for key, value in spec.items():
            found |= {(key,), *((key, *below) for below in paths(value))}
    return found


def with_value(spec: object, path: tuple[str, ...], value: object) -> Document:
    head, *rest = path
    copy = dict(spec) if isinstance(spec, dict) else {}
    copy[head] = with_value(copy.get(head), tuple(rest), value) if rest else value
    return copy


def test_overrides_hold_only_what_is_set_in_the_http_spelling() -> None:
    manifest = validate(processor(parameters={"recallThreshold": 0, "stmMode": "ROLLING", "affinityEmotive": None}))
    assert isinstance(manifest, KatoProcessor)
    assert manifest.spec.parameters is not None
    assert manifest.spec.parameters.overrides() == {"recall_threshold": 0, "stm_mode": "ROLLING"}
    assert resolve(manifest.spec.parameters.overrides()).max_predictions == 100


def test_a_processor_becomes_the_record_that_the_service_reads() -> None:
    manifest = validate(processor(displayName="Broad", parameters={"persistence": 7}, sessions={"ttlSeconds": 60}))
    assert isinstance(manifest, KatoProcessor)
    record = manifest.record("uid-1", 4)
    assert record.model_dump() == {
        "uid": "uid-1",
        "generation": 4,
        "display_name": "Broad",
        "parameters": {"persistence": 7},
        "sessions": {"ttl_seconds": 60, "auto_extend": True, "max_active": 0},
    }


def test_a_processor_that_says_nothing_has_the_defaults() -> None:
    manifest = validate(processor())
    assert isinstance(manifest, KatoProcessor)
    assert manifest.record("u", 1).parameters == {}
    assert manifest.record("u", 1).sessions.ttl_seconds == 3600


def test_a_session_becomes_the_declaration_that_the_service_reads() -> None:
    manifest = validate(session(userId="ada", config={"maxPredictions": 3}, expiryPolicy="Renew", metadata={"a": "b"}))
    assert isinstance(manifest, KatoSession)
    assert manifest.record("uid-1", 2).model_dump() == {
        "uid": "uid-1",
        "generation": 2,
        "name": "reader",
        "user_id": "ada",
        "config": {"max_predictions": 3},
        "ttl_seconds": None,
        "expiry_policy": "Renew",
        "metadata": {"a": "b"},
    }


def test_a_session_without_a_user_is_its_own() -> None:
    manifest = validate(session())
    assert isinstance(manifest, KatoSession)
    assert manifest.record("u", 1).user_id == "reader"
