"""The reference of every field as one Markdown page, from the same definitions as the CRDs.

Called by `kato_spec.generate`, which writes `docs/crds.md` and finds it outdated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kato_spec.schema import KINDS, Column, definition

Schema = Mapping[str, Any]

HEAD = """\
# Fields of KatoProcessor and KatoSession

Generated from the models in `crds/kato_spec` by `make generate`; never edited. `kubectl explain kproc.spec --recursive`
says the same on a cluster. `[]` marks an item of a list, `*` any key of a map.
"""

# A key of a schema -> how its bound is written.
BOUNDS: Mapping[str, str] = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "length at least {}",
    "maxLength": "length at most {}",
    "pattern": "matches `{}`",
    "format": "{}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} keys",
    "maxProperties": "at most {} keys",
}


def page() -> str:
    """Return the page: for each kind its columns, its fields and the rules between them."""
    lines = [HEAD]
    for kind in KINDS:
        root = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        lines += [f"## {kind.name} (`{kind.short}`)", "", _line(root.get("description", "")), ""]
        lines += [*_columns(kind.columns), ""]
        lines += ["| field | type | default | allowed | meaning |", "| --- | --- | --- | --- | --- |"]
        parts = root["properties"]
        lines += _rows("metadata.name", parts["metadata"]["properties"]["name"], required=True)
        lines += [*_rows("spec", parts["spec"]), *_rows("status", parts["status"])]
        lines += ["", "Beyond that:", "", *_rules("", root), ""]
    return "\n".join(lines).rstrip() + "\n"


def _columns(columns: tuple[Column, ...]) -> Iterator[str]:
    """Yield what `kubectl get` shows."""
    yield "| column of `kubectl get` | shows |"
    yield "| --- | --- |"
    for column in columns:
        yield f"| {column.name}{' (`-o wide`)' if column.wide else ''} | {_line(column.description)} |"


def _rows(path: str, node: Schema, *, required: bool = False) -> Iterator[str]:
    """Yield one row for a field and for each field below it, in the order of the models."""
    default = "required" if required else f"`{_text(node['default'])}`" if "default" in node else ""
    kind = "integer or string" if node.get("x-kubernetes-int-or-string") else node["type"]
    cells = (f"`{path}`", kind, default, _allowed(node), _line(node.get("description", "")))
    yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
    needed = node.get("required", ())
    for name, field in node.get("properties", {}).items():
        yield from _rows(f"{path}.{name}", field, required=name in needed)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(node.get(key), Mapping):
            yield from _below(path + mark, node[key])


def _below(path: str, node: Schema) -> Iterator[str]:
    """Yield what is to be said of the items of a list or the values of a map; nothing where the type says it all."""
    if set(node) - {"type"}:
        yield from _rows(path, node)


def _allowed(node: Schema) -> str:
    """Return the values and bounds of a field in words."""
    words = [", ".join(f"`{_text(value)}`" for value in node["enum"])] if "enum" in node else []
    words += [text.format(node[key]) for key, text in BOUNDS.items() if key in node]
    return "; ".join(words)


def _rules(path: str, node: Schema) -> Iterator[str]:
    """Yield every CEL rule as a line: the field that it blames, and what it must be."""
    for rule in node.get("x-kubernetes-validations", ()):
        yield f"- `{(path + rule['fieldPath']).lstrip('.')}` {_line(rule['message'])}"
    for name, field in node.get("properties", {}).items():
        yield from _rules(f"{path}.{name}", field)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(node.get(key), Mapping):
            yield from _rules(path + mark, node[key])


def _text(value: object) -> str:
    """Return a value as YAML spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _line(text: str) -> str:
    """Return a description as one line."""
    return " ".join(text.split())
