"""The base of every manifest model, and the rules that look at more than one field.

A rule is declared beside the model that it belongs to, once in CEL for the API server and once in Python for
`kato_spec.manifests`; both read the node as the API server sees it: camelCase keys, defaults filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

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


class SpecModel(BaseModel):
    """Base of the manifest models: immutable, unknown fields refused, types taken as they stand, camelCase aliases."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )
    rules: ClassVar[tuple[Rule | Transition, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Carry the model's rules in its schema, so that one tree tells all there is to check."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.rules:
            schema[RULES] = cls.rules
        return schema


def get(node: Node, path: str) -> object:
    """Return the value at the dotted `path` below `node`, or None where there is none."""
    value: object = node
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
