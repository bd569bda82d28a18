"""The fields of a KatoProcessor that are as their Kubernetes namesakes: what its pods and its Service look like.

Used by `kato_spec.processor`. Typed as far as it is cheap; affinity alone is open, so that the CRD stays small.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from kato_spec.names import Labels, LabelValue, ObjectName, QualifiedName, SecretKey, VariableName, qualified_keys
from kato_spec.quantities import Quantity, exceeds
from kato_spec.rules import Rule, SpecModel, Transition

Amounts = Annotated[dict[str, Quantity], Field(max_length=16)]
OpenObject = Annotated[
    dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}, max_length=8)
]
ENV_RESERVED = "KATO_"
_SOURCES = ("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef")


def list_map(key: str) -> dict[str, Any]:
    """Return the schema keys of a list whose items are known by `key`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


class LocalObjectRef(SpecModel):
    """An object of the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")


class Resources(SpecModel):
    """What each pod asks for and may use."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel="!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || "
            "!isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k])) || "
            "!quantity(string(self.requests[k])).isGreaterThan(quantity(string(self.limits[k]))))",
            holds=lambda self: (
                not any(
                    exceeds(asked, self.get("limits", {}).get(name)) for name, asked in self.get("requests", {}).items()
                )
            ),
            reads=("requests", "limits"),
            allowed="requests that are not above the limit of the same name",
        ),
    )

    requests: Amounts | None = Field(None, description="What a pod is sure to get, by resource name.")
    limits: Amounts | None = Field(None, description="What a pod may use at most, by resource name.")


class KeySelector(SpecModel):
    """A key of a ConfigMap or Secret of the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")
    key: SecretKey = Field(description="The key whose value is taken.")
    optional: bool | None = Field(None, description="Whether the object or its key may be missing.")


class FieldSelector(SpecModel):
    """A field of the pod."""

    field_path: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="Path of the field, such as metadata.name."
    )
    api_version: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="API version of the path; v1 when left out."
    )


class ResourceFieldSelector(SpecModel):
    """A resource of a container."""

    resource: Annotated[str, Field(min_length=1, max_length=256)] = Field(description="Such as limits.memory.")
    container_name: ObjectName | None = Field(None, description="The container; its own when left out.")
    divisor: Quantity | None = Field(None, description="The unit of the value; 1 when left out.")


class EnvSource(SpecModel):
    """Where the value of an environment variable comes from."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel=f"[{', '.join(f'has(self.{name})' for name in _SOURCES)}].exists_one(given, given)",
            holds=lambda self: sum(name in self for name in _SOURCES) == 1,
            reads=_SOURCES,
            allowed="exactly one of " + ", ".join(_SOURCES),
        ),
    )

    config_map_key_ref: KeySelector | None = Field(None, description="A key of a ConfigMap.")
    secret_key_ref: KeySelector | None = Field(None, description="A key of a Secret.")
    field_ref: FieldSelector | None = Field(None, description="A field of the pod.")
    resource_field_ref: ResourceFieldSelector | None = Field(None, description="A resource of a container.")


class EnvVar(SpecModel):
    """One environment variable of the service; those of the service's own settings are the operator's to set."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel=f"!self.name.startsWith('{ENV_RESERVED}')",
            holds=lambda self: not self["name"].startswith(ENV_RESERVED),
            reads=("name",),
            allowed=f"a name that does not begin with {ENV_RESERVED}: those are the service's own settings",
            reason="FieldValueForbidden",
        ),
        Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            holds=lambda self: not ("value" in self and "valueFrom" in self),
            reads=("valueFrom", "value"),
            allowed="at most one of value and valueFrom",
        ),
    )

    name: VariableName = Field(description="Name of the variable; KATO_* are refused.")
    value: Annotated[str, Field(max_length=32768)] | None = Field(None, description="Its value.")
    value_from: EnvSource | None = Field(None, description="Where its value comes from.")


class Toleration(SpecModel):
    """A taint that the pods bear with."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel="has(self.key) || self.operator == 'Exists'",
            holds=lambda self: "key" in self or self["operator"] == "Exists",
            reads=("operator", "key"),
            allowed="Exists, when key is left out",
        ),
        Rule(
            cel="self.operator != 'Exists' || !has(self.value) || self.value == ''",
            holds=lambda self: self["operator"] != "Exists" or not self.get("value"),
            reads=("value", "operator"),
            allowed="absent, when operator is Exists",
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            holds=lambda self: "tolerationSeconds" not in self or self.get("effect") == "NoExecute",
            reads=("effect", "tolerationSeconds"),
            allowed="NoExecute, when tolerationSeconds is set",
        ),
    )

    key: QualifiedName | None = Field(None, description="Key of the taint; left out with Exists: every taint.")
    operator: Literal["Exists", "Equal"] = Field("Equal", description="Whether the value counts too.")
    value: LabelValue | None = Field(None, description="Value of the taint, with Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; left out: every effect."
    )
    toleration_seconds: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = Field(
        None, description="How long to bear with a NoExecute taint, in seconds; left out: for ever."
    )


class SelectorRequirement(SpecModel):
    """One requirement on the labels of an object."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel="(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            holds=lambda self: (self["operator"] in ("In", "NotIn")) == bool(self.get("values")),
            reads=("values", "operator"),
            allowed="at least one value with In and NotIn, none with Exists and DoesNotExist",
        ),
    )

    key: QualifiedName = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="What must hold of it.")
    values: Annotated[list[LabelValue], Field(max_length=32)] | None = Field(
        None, description="The values of In and NotIn."
    )


class LabelSelector(SpecModel):
    """A choice of objects by their labels."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (qualified_keys("matchLabels"),)

    match_labels: Labels | None = Field(None, description="Labels that an object must have, key and value.")
    match_expressions: Annotated[list[SelectorRequirement], Field(max_length=16)] | None = Field(
        None, description="Further requirements; all must hold."
    )


class TopologySpread(SpecModel):
    """How the pods of a processor spread over zones or nodes."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel="!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            holds=lambda self: "minDomains" not in self or self["whenUnsatisfiable"] == "DoNotSchedule",
            reads=("whenUnsatisfiable", "minDomains"),
            allowed="DoNotSchedule, when minDomains is set",
        ),
    )

    max_skew: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        description="Greatest difference of pods between two domains."
    )
    topology_key: QualifiedName = Field(description="Node label whose values are the domains.")
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        description="What to do with a pod that would break the spread."
    )
    label_selector: LabelSelector | None = Field(
        None, description="The pods that are counted; left out: those of this processor."
    )
    min_domains: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="Least number of domains, with DoNotSchedule."
    )
    match_label_keys: Annotated[list[QualifiedName], Field(max_length=16)] | None = Field(
        None, description="Label keys whose values of the new pod narrow the pods counted."
    )
    node_affinity_policy: Literal["Honor", "Ignore"] | None = Field(
        None, description="Whether nodes that affinity rules out count as domains."
    )
    node_taints_policy: Literal["Honor", "Ignore"] | None = Field(
        None, description="Whether tainted nodes count as domains."
    )


class Affinity(SpecModel):
    """Where pods want to run; each part is as in a pod and is checked when the pod is made."""

    node_affinity: OpenObject | None = Field(None, description="Rules about nodes, as in a pod.")
    pod_affinity: OpenObject | None = Field(None, description="Pods to be near to, as in a pod.")
    pod_anti_affinity: OpenObject | None = Field(None, description="Pods to be far from, as in a pod.")
