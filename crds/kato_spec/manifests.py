"""Is this document a good manifest? The verdict that the API server gives by the CRDs, given here without one.

`kato apply`, the operator and the tests call `validate`; it walks the same tree of schemas that the CRDs are made of:
null and default as the API server handles them, then each field by its model, then the rules over several fields.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from kato_spec.errors import Rejected, shown
from kato_spec.keys import API_VERSION
from kato_spec.parameters import describe_schema
from kato_spec.processor import KatoProcessor
from kato_spec.rules import RULES, Rule, get
from kato_spec.schema import Schema, tree
from kato_spec.session import KatoSession

Manifest = KatoProcessor | KatoSession
Path = tuple[str | int, ...]

MODELS: Mapping[str, type[KatoProcessor] | type[KatoSession]] = {
    "KatoProcessor": KatoProcessor,
    "KatoSession": KatoSession,
}


class _Nothing:
    """The value of a field that is missing."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field of a document that cannot stay as it is; `value` is `NOTHING` where the field is missing."""

    path: Path
    value: object
    allowed: str

    @property
    def field(self) -> str:
        """The path as the API server writes it: `spec.tolerations[0].key`."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return "".join(steps).removeprefix(".") or "document"

    def __str__(self) -> str:
        return f"{self.field}: {shown(self.value)} is not allowed; allowed: {self.allowed}"


class InvalidManifest(Rejected):
    """A document is not a good manifest. `problems`: every one of them, in the order of the schema."""

    def __init__(self, problems: tuple[FieldProblem, ...]) -> None:
        first = problems[0]
        super().__init__(first.field, first.value, first.allowed)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


@dataclass(frozen=True, slots=True)
class _Place:
    """An object of a document: its schema, where it is, what it is, and what it was where that is known."""

    schema: Schema
    path: Path
    node: Mapping[str, Any]
    old: Mapping[str, Any] | None


def validate(document: object) -> Manifest:
    """Return `document`, a mapping as JSON or YAML gives it, as its typed manifest; its status is left out.

    Raises:
        InvalidManifest: naming every bad field, its value and what is allowed.
    """
    return _judged(document, None)


def validate_update(old: Mapping[str, Any], new: object) -> Manifest:
    """Return `new` as its typed manifest when it may replace `old`, a document that was accepted before.

    Raises:
        InvalidManifest: as `validate`, and for every field that may not change as it does.
    """
    return _judged(new, old)


def _judged(document: object, old: Mapping[str, Any] | None) -> Manifest:
    """Check everything of one document, and what may not change when `old` is given."""
    if not isinstance(document, Mapping):
        raise InvalidManifest((FieldProblem((), document, "a mapping with apiVersion, kind, metadata and spec"),))
    model = _model(document)
    schema = tree(model)
    node = _completed(schema, _as_created(document))
    places = list(_places(schema, node, None if old is None else _completed(schema, _as_created(old))))
    problems: dict[Path, FieldProblem] = {}
    try:
        manifest = model.model_validate(node, by_alias=True, by_name=False)
    except ValidationError as error:
        for problem in (_problem(schema, detail) for detail in error.errors(include_url=False)):
            problems[problem.path] = problem
    bad = tuple(problems)
    for place in places:
        problems |= {problem.path: problem for problem in (*_duplicates(place), *_broken_rules(place, bad))}
    if problems:
        raise InvalidManifest(tuple(problems.values()))
    return manifest


def _model(document: Mapping[str, Any]) -> type[KatoProcessor] | type[KatoSession]:
    """Return the model of the document's kind; without one nothing else can be checked."""
    kind = document.get("kind")
    if isinstance(kind, str) and kind in MODELS:
        return MODELS[kind]
    problems = [FieldProblem(("kind",), document.get("kind", NOTHING), "one of " + ", ".join(MODELS))]
    if document.get("apiVersion") != API_VERSION:
        problems.insert(0, FieldProblem(("apiVersion",), document.get("apiVersion", NOTHING), API_VERSION))
    raise InvalidManifest(tuple(problems))


def _as_created(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document as the API server takes a new object: no status, no null in its metadata."""
    plain = {str(key): _as_json(value) for key, value in document.items() if key != "status"}
    metadata = plain.get("metadata") or {}
    if isinstance(metadata, dict):
        plain["metadata"] = {key: value for key, value in metadata.items() if value is not None}
    return plain


def _as_json(value: object) -> object:
    """Copy `value` as JSON would carry it: a whole float is an integer there, and so is it to the API server."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _completed(schema: Schema, node: object) -> object:
    """Do with null and default as the API server does: null is as if it were absent, a default takes its place."""
    if isinstance(node, list) and "items" in schema:
        return [_completed(schema["items"], item) for item in node]
    if not isinstance(node, dict) or not ("properties" in schema or "additionalProperties" in schema):
        return node
    fields: Schema = schema.get("properties") or dict.fromkeys(node, schema.get("additionalProperties", {}))
    defaults = {name: field["default"] for name, field in fields.items() if "default" in field}
    given = {name: value for name, value in node.items() if value is not None or name not in fields}
    return {name: _completed(fields.get(name, {}), value) for name, value in (defaults | given).items()}


def _places(schema: Schema, node: object, old: object, path: Path = ()) -> Iterator[_Place]:
    """Yield every object of the document that has a schema; the items of a list have no known past."""
    if isinstance(node, list) and "items" in schema:
        for index, item in enumerate(node):
            yield from _places(schema["items"], item, None, (*path, index))
    if isinstance(node, dict) and "properties" in schema:
        before = old if isinstance(old, dict) else None
        yield _Place(schema, path, node, before)
        for name, field in schema["properties"].items():
            yield from _places(field, node.get(name), (before or {}).get(name), (*path, name))


def _duplicates(place: _Place) -> Iterator[FieldProblem]:
    """Yield the items of a list that have the key of an earlier one, where items are known by a key."""
    for name, field in place.schema["properties"].items():
        items = place.node.get(name)
        if "x-kubernetes-list-map-keys" not in field or not isinstance(items, list):
            continue
        (key,) = field["x-kubernetes-list-map-keys"]
        known = [item.get(key) if isinstance(item, dict) else None for item in items]
        for index, value in enumerate(known):
            if value is not None and value in known[:index]:
                yield FieldProblem((*place.path, name, index), value, f"an item whose {key} no item before it has")


def _broken_rules(place: _Place, bad: tuple[Path, ...]) -> Iterator[FieldProblem]:
    """Yield what rules over several fields refuse; a rule that reads a bad field has nothing to say."""
    for rule in place.schema.get(RULES, ()):
        reads = [(*place.path, *read.split(".")) for read in rule.reads]
        if any(read[: len(path)] == path for read in reads for path in bad):
            continue
        if not isinstance(rule, Rule) and place.old is None:
            continue
        holds = rule.holds(place.node) if isinstance(rule, Rule) else rule.holds(place.node, place.old)
        if not holds:
            yield FieldProblem(reads[0], get(place.node, rule.reads[0]), rule.allowed)


def _problem(schema: Schema, detail: Mapping[str, Any]) -> FieldProblem:
    """Say what pydantic found in the words of the schema."""
    path = tuple(step for step in detail["loc"] if step != "[key]")
    if detail["type"] == "missing":
        return FieldProblem(path, NOTHING, _allowed(schema, path))
    if detail["type"] == "extra_forbidden":
        return FieldProblem(path, detail["input"], _known_fields(_at(schema, path[:-1]), str(path[-1])))
    return FieldProblem(path, detail["input"], _allowed(schema, path))


def _at(schema: Schema, path: Path) -> Schema:
    """Return the schema of what lies at `path`."""
    for step in path:
        if isinstance(step, int):
            schema = schema["items"]
        elif "properties" in schema:
            schema = schema["properties"][step]
        else:
            schema = schema["additionalProperties"]
    return schema


def _allowed(schema: Schema, path: Path) -> str:
    """Say in words what may stand at `path`."""
    return describe_schema(_at(schema, path))


def _known_fields(schema: Schema, name: str) -> str:
    """Say which fields there are, and which one may be meant by `name`."""
    known = list(schema["properties"])
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"{close[0]}, if that is meant; all fields here: " if close else "the fields "
    return hint + ", ".join(known)
