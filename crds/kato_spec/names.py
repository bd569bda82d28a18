"""The kinds of strings that manifests hold, with their bounds and what is allowed in words.

Used by every manifest model. Each pattern means the same to Python, to pydantic and to the API server's RE2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from pydantic.fields import FieldInfo

from kato_spec.keys import PROCESSOR_NAME_MAX, PROCESSOR_NAME_PATTERN, RESERVED_IDS
from kato_spec.rules import ALLOWED, Node, Rule

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME_PART = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"


def _text(most: int, pattern: str | None = None, words: str | None = None, least: int = 1) -> FieldInfo:
    """Build the bounds of one kind of string."""
    extra: dict[str, Any] = {} if words is None else {ALLOWED: f"{words}, at most {most} characters"}
    bounds: FieldInfo = Field(min_length=least, max_length=most, pattern=pattern, json_schema_extra=extra)
    return bounds


Text = Annotated[str, _text(256)]
ProcessorName = Annotated[
    str,
    _text(PROCESSOR_NAME_MAX, PROCESSOR_NAME_PATTERN, "a DNS label: a-z, 0-9 and -, beginning and ending alphanumeric"),
]
DnsLabel = Annotated[str, _text(63, rf"^{_LABEL}$", "a DNS label: a-z, 0-9 and -, beginning and ending alphanumeric")]
ObjectName = Annotated[
    str, _text(253, rf"^{_SUBDOMAIN}$", "a name of a-z, 0-9, - and ., beginning and ending alphanumeric")
]
SecretKey = Annotated[str, _text(253, r"^[-._a-zA-Z0-9]+$", "a key of letters, digits, -, _ and .")]
ContainerImage = Annotated[str, _text(512, r"^\S+$", "an image reference, without spaces")]
DatabaseName = Annotated[str, _text(63, r"^[-_a-zA-Z0-9]+$", "a database name of letters, digits, - and _")]
VariableName = Annotated[
    str,
    _text(253, r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", "a variable's name of letters, digits, -, _ and ., no digit first"),
]
LabelValue = Annotated[
    str, _text(63, rf"^({_NAME_PART})?$", "a label value: letters, digits, -, _ and ., or nothing", least=0)
]
QualifiedName = Annotated[
    str,
    _text(317, rf"^({_SUBDOMAIN}/)?{_NAME_PART}$", "a qualified name such as zone or topology.kubernetes.io/zone"),
]
Labels = Annotated[dict[str, LabelValue], Field(max_length=64)]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=16384)]], Field(max_length=64)]

_QUALIFIED = re.compile(rf"^({_SUBDOMAIN}/)?{_NAME_PART}$")
_VALUE = re.compile(rf"^({_NAME_PART})?$")

RESERVED_NAMES = Rule(
    cel=f"!(self.metadata.name in {sorted(RESERVED_IDS)})",
    holds=lambda self: self["metadata"]["name"] not in RESERVED_IDS,
    reads=("metadata.name",),
    allowed="any name but the first segments of the service's own paths: " + ", ".join(sorted(RESERVED_IDS)),
)


def is_qualified_name(name: str) -> bool:
    """Say whether `name` is a label's or annotation's key: an optional DNS prefix, `/`, at most 63 characters."""
    return bool(_QUALIFIED.fullmatch(name)) and name.rfind("/") <= 253


def are_labels(labels: Mapping[str, str]) -> bool:
    """Say whether every key and value of `labels` is one that Kubernetes takes."""
    return all(is_qualified_name(key) and _VALUE.fullmatch(value) for key, value in labels.items())


def keys_are_qualified(node: Node, field: str) -> bool:
    """Say whether the keys of the map `field` of `node` are label keys; an absent map has none."""
    return all(is_qualified_name(key) for key in node.get(field, {}))


def qualified_keys(field: str) -> Rule:
    """Return the rule that the map `field` of a node, if it is there, has label keys."""
    return Rule(
        cel=f"!has(self.{field}) || "
        f"self.{field}.all(k, k.matches(r'{_QUALIFIED.pattern}') && k.lastIndexOf('/') <= 253)",
        holds=lambda self: keys_are_qualified(self, field),
        reads=(field,),
        allowed="keys such as zone or example.com/zone: a DNS prefix, /, a name of letters, digits, -, _ and .",
    )
