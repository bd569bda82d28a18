"""What both kinds share: object metadata, conditions, references to Secrets, session parameters.

Used by `kato_spec.processor` and `kato_spec.session`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from kato_spec.names import DnsLabel, ObjectName, ProcessorName, SecretKey, are_labels, keys_are_qualified
from kato_spec.parameters import Parameters
from kato_spec.rules import Rule, SpecModel, Transition

Time = Annotated[datetime, Field(strict=False)]


class ObjectMeta(SpecModel):
    """The metadata of an object; what the API server alone writes is taken as it is."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel=None,
            holds=lambda self: are_labels(self.get("labels", {})),
            reads=("labels",),
            allowed="label keys such as app or example.com/app, values of at most 63 letters, digits, -, _ and .",
        ),
        Rule(
            cel=None,
            holds=lambda self: keys_are_qualified(self, "annotations"),
            reads=("annotations",),
            allowed="annotation keys such as note or example.com/note",
        ),
    )

    name: ObjectName = Field(description="Name of the object, unique in its namespace for its kind.")
    namespace: DnsLabel | None = Field(None, description="Namespace of the object.")
    labels: dict[str, str] = Field({}, description="Labels, for selection.")
    annotations: dict[str, str] = Field({}, description="Annotations, free text for tools.")
    finalizers: list[str] = Field([], description="What must be done before the object goes.")
    uid: str | None = Field(None, description="Identity of this object in time; set by the API server.")
    generation: int | None = Field(None, description="Counts the changes of spec; set by the API server.")
    resource_version: str | None = Field(None, description="Version of the stored object; set by the API server.")
    creation_timestamp: Time | None = Field(None, description="When it was made; set by the API server.")
    deletion_timestamp: Time | None = Field(None, description="When its deletion was asked for.")
    deletion_grace_period_seconds: Any = Field(None, description="Set by the API server.")
    generate_name: Any = Field(None, description="Prefix of a name that the API server makes up.")
    owner_references: Any = Field(None, description="Objects that this one goes away with.")
    managed_fields: Any = Field(None, description="Who set which field; set by the API server.")
    self_link: Any = Field(None, description="No longer used.")


class ProcessorMeta(ObjectMeta):
    """The metadata of a KatoProcessor: its name is the processor's ID and part of its children's names."""

    name: ProcessorName = Field(
        description="The processor's ID, used in API paths and answers; none of the service's own path segments."
    )


class Condition(SpecModel):
    """One observation about an object, as `metav1.Condition`."""

    type: Annotated[str, Field(min_length=1, max_length=316)] = Field(description="What is observed, in CamelCase.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it is so.")
    reason: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="Why, in one CamelCase word.")
    message: Annotated[str, Field(max_length=32768)] = Field(description="Why, for a person to read; may be empty.")
    last_transition_time: Time = Field(description="When the status last changed.")
    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="The generation of the object that was looked at."
    )


Conditions = Annotated[
    list[Condition],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


class SecretRef(SpecModel):
    """A key of a Secret in the object's own namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the same namespace.")
    key: SecretKey = Field(description="Key of the Secret that holds the value.")


def _tell_defaults(schema: dict[str, Any]) -> None:
    """Tell each default in words: as a default it would hide what is inherited."""
    for field in schema["properties"].values():
        default = field.pop("default", None)
        if default is not None:
            field["description"] += " Default: " + json.dumps(default).strip('"') + "."


class ParameterSet(SpecModel, Parameters):
    """Session parameters as a manifest sets them: the fields and ranges of `Parameters`, only the keys given count."""

    model_config = ConfigDict(json_schema_extra=_tell_defaults)

    def overrides(self) -> dict[str, Any]:
        """Return what is set, in the current HTTP spelling, for `kato_spec.parameters.resolve`."""
        return self.model_dump(include=self.model_fields_set)
