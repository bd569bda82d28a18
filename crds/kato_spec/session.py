"""KatoSession: a declared session in a processor, as a user writes it and as the operator reports on it.

Read by the operator, by `kato apply` and by `kato_spec.schema`, which makes the CRD of it (spec: operator.md).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kato_spec.meta import Conditions, ObjectMeta, ParameterSet, Time
from kato_spec.names import ProcessorName, Text
from kato_spec.records import DeclarationRecord
from kato_spec.rules import Rule, SpecModel, Transition, get

Seconds = Annotated[int, Field(ge=1, le=2**31 - 1)]


class ProcessorRef(SpecModel):
    """The processor that a session belongs to."""

    name: ProcessorName = Field(description="Name of the KatoProcessor, in the same namespace. Immutable.")


class KatoSessionSpec(SpecModel):
    """What the user wants of a session."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Transition(
            cel="self.processorRef.name == oldSelf.processorRef.name",
            holds=lambda self, old: get(self, "processorRef.name") == get(old, "processorRef.name"),
            reads=("processorRef.name",),
            allowed="the present value: it is immutable",
        ),
        Transition(
            cel="!has(oldSelf.userId) || (has(self.userId) && self.userId == oldSelf.userId)",
            holds=lambda self, old: "userId" not in old or self.get("userId") == old["userId"],
            reads=("userId",),
            allowed="the present value: it is immutable once set",
        ),
    )

    processor_ref: ProcessorRef = Field(description="The processor that the session belongs to. Immutable.")
    user_id: Text | None = Field(
        None,
        description="Whose session it is: the node of the knowledge base, shared by all sessions of this user. "
        "Left out: the object's name. Immutable once set.",
    )
    config: ParameterSet | None = Field(
        None, description="Overrides of the processor's parameters; a key left out or removed is the processor's."
    )
    ttl_seconds: Seconds | None = Field(
        None, description="Time to live without activity, in seconds; left out: the processor's."
    )
    expiry_policy: Literal["Expire", "Renew"] = Field(
        "Expire",
        description="Expire: after its time to live the session is gone and the status says so. "
        "Renew: a new session takes its place.",
    )
    remove_after_expiry_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None, description="How long after expiry this object removes itself, in seconds; left out: never."
    )
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)] | None = Field(
        None, description="Free key-values that are kept with the session."
    )


class KatoSessionStatus(SpecModel):
    """What the operator reports on a session."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="The generation of the spec that this status is about."
    )
    session_id: Text | None = Field(None, description="The session's ID in the service's API.")
    user_id: Text | None = Field(None, description="Whose session it is, as resolved.")
    phase: Literal["Pending", "Active", "Expired"] | None = Field(
        None, description="Pending: not made yet. Active: usable. Expired: its time to live is over."
    )
    created_at: Time | None = Field(None, description="When the session was made.")
    expires_at: Time | None = Field(None, description="When it expires unless it is used before.")
    last_activity: Time | None = Field(None, description="When it was last used.")
    stm_length: Annotated[int, Field(ge=0)] | None = Field(None, description="Events in its short-term memory.")
    url: Annotated[str, Field(max_length=1024)] | None = Field(None, description="URL of the session.")
    conditions: Conditions | None = Field(None, description="Bound, Ready and Expired.")


class KatoSession(SpecModel):
    """A session that is there as long as this object is: one stream of events, its short-term memory, its settings."""

    api_version: Literal["kato.dev/v1alpha1"] = Field(description="Version of the schema of this object.")
    kind: Literal["KatoSession"] = Field(description="Kind of this object.")
    metadata: ObjectMeta = Field(description="Name, namespace, labels and annotations.")
    spec: KatoSessionSpec = Field(description="What the user wants of the session.")
    status: KatoSessionStatus | None = Field(None, description="What the operator reports on the session.")

    def user_id(self) -> str:
        """Return whose session it is: `spec.userId`, or the object's name."""
        return self.spec.user_id or self.metadata.name

    def record(self, uid: str, generation: int) -> DeclarationRecord:
        """Return the session as the service is to hold it, under the identity `uid` and `generation`."""
        return DeclarationRecord(
            uid=uid,
            generation=generation,
            name=self.metadata.name,
            user_id=self.user_id(),
            config=self.spec.config.overrides() if self.spec.config else {},
            ttl_seconds=self.spec.ttl_seconds,
            expiry_policy=self.spec.expiry_policy,
            metadata=self.spec.metadata or {},
        )
