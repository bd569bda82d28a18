"""From the manifest models to one plain tree of schemas, and from that to the CRDs.

The tree (`tree`) is what `kato_spec.manifests` walks; `definitions` publishes it as structural OpenAPI v3, which is
what `kato_spec.generate` writes to `crds/*.yaml` (spec: operator.md). The same models give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from kato_spec.keys import GROUP, VERSION
from kato_spec.processor import KatoProcessor
from kato_spec.rules import ALLOWED, RULES, Rule, SpecModel, Transition
from kato_spec.session import KatoSession

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `wide` ones are shown with `-o wide` alone."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """What a CRD says beside its schema."""

    model: type[SpecModel]
    plural: str
    short: str
    columns: tuple[Column, ...]
    scaled: bool = False

    @property
    def name(self) -> str:
        """The kind's name, as manifests have it."""
        return self.model.__name__

    @property
    def file(self) -> str:
        """The file name of the kind's CRD."""
        return f"{self.plural}.{GROUP}.yaml"


# Keys of a schema as a person reads them.
_ORDER = (
    *("description", "type", "default", "enum", "its bounds"),
    *("x-kubernetes-validations", "required", "properties", "additionalProperties", "items"),
)

AGE = Column("Age", ".metadata.creationTimestamp", "Time since it was made.", "date")
READY = '.status.conditions[?(@.type=="Ready")]'

KINDS = (
    Kind(
        KatoProcessor,
        "katoprocessors",
        "kproc",
        (
            Column("Display Name", ".spec.displayName", "The human-readable name."),
            Column("Ready", f"{READY}.status", "Whether it answers."),
            Column("Replicas", ".status.replicas", "Pods there are.", "integer"),
            Column("Storage", ".status.storage.type", "Where its memory lies."),
            Column("Sessions", ".status.activeSessions", "Sessions that have not expired.", "integer"),
            Column("Patterns", ".status.patterns", "Patterns in its memory.", "integer"),
            Column("Endpoint", ".status.endpoint", "URL of its API inside the cluster."),
            Column("Image", ".spec.image", "Image of the service, when it is not the operator's.", wide=True),
            Column("Reason", f"{READY}.reason", "Why it is ready or not.", wide=True),
            AGE,
        ),
        scaled=True,
    ),
    Kind(
        KatoSession,
        "katosessions",
        "ksess",
        (
            Column("Processor", ".spec.processorRef.name", "The processor it belongs to."),
            Column("User", ".status.userId", "Whose session it is."),
            Column("Phase", ".status.phase", "Pending, Active or Expired."),
            Column("STM", ".status.stmLength", "Events in its short-term memory.", "integer"),
            Column("Expires", ".status.expiresAt", "When it expires unless it is used before."),
            AGE,
        ),
    ),
)


@cache
def tree(model: type[SpecModel]) -> Schema:
    """Return the whole schema of `model` in one tree: no references, no null branches, rules and words in place."""
    raw = model.model_json_schema(by_alias=True)
    return _plain(raw, raw.get("$defs", {}))


def _plain(node: Schema, definitions: Schema) -> dict[str, Any]:
    """Resolve what pydantic expresses by reference or by a choice with null; nothing of a manifest is nullable."""
    own = {key: value for key, value in node.items() if key not in ("$ref", "$defs", "anyOf", "title")}
    if "$ref" in node:
        return _plain(definitions[node["$ref"].rpartition("/")[2]], definitions) | own
    if "anyOf" in node:
        (branch,) = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
        own = _plain(branch, definitions) | own
    if own.get("default", ...) is None:
        del own["default"]
    if "const" in own:
        own["enum"] = [own.pop("const")]
    if isinstance(own.get("additionalProperties"), bool):
        del own["additionalProperties"]
    return _with_children(own, lambda child: _plain(child, definitions))


def _with_children(node: Schema, change: Callable[[Schema], dict[str, Any]]) -> dict[str, Any]:
    """Return `node` with each schema directly below it changed."""
    changed = dict(node)
    for key in ("items", "additionalProperties"):
        if key in node:
            changed[key] = change(node[key])
    if "properties" in node:
        changed["properties"] = {name: change(field) for name, field in node["properties"].items()}
    return changed


def published(node: Schema) -> dict[str, Any]:
    """Return `node` as the API server takes it: our own keys left out, rules as `x-kubernetes-validations`."""
    public = {key: value for key, value in _with_children(node, published).items() if key not in (RULES, ALLOWED)}
    rules = [_validation(rule) for rule in node.get(RULES, ()) if rule.cel is not None]
    if rules:
        public["x-kubernetes-validations"] = rules
    return {key: public[key] for key in sorted(public, key=_reading_order)}


def _reading_order(key: str) -> tuple[int, str]:
    """Return the key by which the keys of a schema are sorted."""
    return _ORDER.index(key if key in _ORDER else "its bounds"), key


def _validation(rule: Rule | Transition) -> dict[str, Any]:
    """Return `rule` as the API server takes it."""
    message = f"must be {rule.allowed}"
    return {"rule": rule.cel, "message": message, "fieldPath": f".{rule.reads[0]}", "reason": rule.reason}


def _root(model: type[SpecModel]) -> dict[str, Any]:
    """Return the schema of a kind; of metadata a CRD may bound the name alone, and may not even describe it."""
    root = published(tree(model))
    fields = root["properties"]
    for name in ("apiVersion", "kind"):
        del fields[name]["enum"]
    fields["metadata"] = {"type": "object", "properties": {"name": fields["metadata"]["properties"]["name"]}}
    return root


def _column(column: Column) -> dict[str, Any]:
    """Return a printer column as the API server takes it."""
    shown = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return shown | ({"priority": 1} if column.wide else {})


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of `kind`."""
    subresources: dict[str, Any] = {"status": {}}
    if kind.scaled:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["kato"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root(kind.model)},
                    "subresources": subresources,
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                }
            ],
        },
    }


def definitions() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield file name and document of every CRD."""
    for kind in KINDS:
        yield kind.file, definition(kind)
