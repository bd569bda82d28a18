"""The base of every manifest model, and the rules that look at more than one field.

A rule is declared beside the model that it belongs to, once in CEL for the API server and once in Python for
`kato_spec.manifests`; both read the node as the API server sees it: camelCase keys, defaults filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Node = Mapping[str, Any]
Reason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]

# Keys of the schema tree that are ours; `kato_spec.schema` leaves them out of what it publishes.
RULES = "x-kato-rules"
ALLOWED = "x-kato-allowed"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of one node.

    `cel`: the rule for the API server, or None where the API server has it built in; `holds`: the same in Python;
    `reads`: dotted paths of the fields it looks at, the first being the one it blames; `allowed`: what is allowed.
    """

    cel: str | None
    holds: Callable[[Node], bool]
    reads: tuple[str, ...]
    allowed: str
    reason: Reason = "FieldValueInvalid"


@dataclass(frozen=True, slots=True)
class Transition:
    """What must hold between a node and what it was before the update; `holds` takes the new and the old one."""

    cel: str
    holds: Callable[[Node, Node], bool]
    reads: tuple[str, ...]
    allowed: str
    reason: Reason = "FieldValueForbidden"


def _carry_rules(schema: dict[str, Any], model: type[SpecModel]) -> None:
    """Put the model's rules into its schema, so that one tree tells all there is to check."""
    if model.rules:
        schema[RULES] = model.rules


class SpecModel(BaseModel):
    """Base of the manifest models: immutable, unknown fields refused, types taken as they stand, camelCase aliases."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra=_carry_rules,
    )
    rules: ClassVar[tuple[Rule | Transition, ...]] = ()


def get(node: Node, path: str) -> object:
    """Return the value at the dotted `path` below `node`, or None where there is none."""
    value: object = node
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
