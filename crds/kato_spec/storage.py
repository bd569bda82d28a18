"""Where a processor's memory lies: on its own volume, or in stores that others run (spec: operator.md, KatoProcessor).

Used by `kato_spec.processor`. Which branch holds when none is given, the operator resolves into `status.storage`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from kato_spec.meta import SecretRef
from kato_spec.names import DatabaseName, ObjectName, SecretKey
from kato_spec.quantities import Quantity, exceeds
from kato_spec.rules import Rule, SpecModel, Transition

DEFAULT_SIZE = "1Gi"


class EmbeddedStorage(SpecModel):
    """A volume of the processor's own, with one SQLite file on it; it serves one replica."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel="!isQuantity(string(self.size)) || quantity(string(self.size)).isGreaterThan(quantity('0'))",
            holds=lambda self: exceeds(self["size"], 0),
            reads=("size",),
            allowed="a quantity above 0, such as 1Gi",
        ),
        Rule(
            cel="!(self.ephemeral && has(self.storageClassName))",
            holds=lambda self: not (self["ephemeral"] and "storageClassName" in self),
            reads=("storageClassName", "ephemeral"),
            allowed="absent when ephemeral is true: there is no volume claim to have a class",
            reason="FieldValueForbidden",
        ),
        Transition(
            cel="!has(self.size) || !has(oldSelf.size) || !isQuantity(string(self.size)) || "
            "!quantity(string(self.size)).isLessThan(quantity(string(oldSelf.size)))",
            holds=lambda self, old: not exceeds(old["size"], self["size"]),
            reads=("size",),
            allowed="a size not below the present one: a volume may only grow",
        ),
        Transition(
            cel="!has(self.ephemeral) || !has(oldSelf.ephemeral) || self.ephemeral == oldSelf.ephemeral",
            holds=lambda self, old: self["ephemeral"] == old["ephemeral"],
            reads=("ephemeral",),
            allowed="the present value: it is immutable",
        ),
        Transition(
            cel="has(self.storageClassName) == has(oldSelf.storageClassName) && "
            "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
            holds=lambda self, old: self.get("storageClassName") == old.get("storageClassName"),
            reads=("storageClassName",),
            allowed="the present value: it is immutable",
        ),
    )

    size: Quantity = Field(DEFAULT_SIZE, description="Size of the volume; may only grow.")
    storage_class_name: ObjectName | None = Field(
        None, description="StorageClass of the volume; left out: the cluster's default one. Immutable."
    )
    ephemeral: bool = Field(
        False, description="Keep the memory in the pod alone: it is lost with the pod. For trials. Immutable."
    )


class MongoUriRef(SecretRef):
    """The key of a Secret that holds a MongoDB connection string."""

    key: SecretKey = Field("uri", description="Key of the Secret that holds the connection string.")


class RedisUrlRef(SecretRef):
    """The key of a Secret that holds a Redis URL."""

    key: SecretKey = Field("url", description="Key of the Secret that holds the URL.")


class MongoStore(SpecModel):
    """A MongoDB that the user runs: it holds the patterns."""

    uri_secret_ref: MongoUriRef = Field(description="Where the connection string (mongodb://...) stands.")
    database: DatabaseName | None = Field(
        None, description="Database of this processor; left out: kato_ and a hash of namespace and name."
    )


class RedisStore(SpecModel):
    """A Redis that the user runs: it holds sessions and what operator and service tell each other."""

    url_secret_ref: RedisUrlRef = Field(description="Where the URL (redis://...) stands.")


class ExternalStorage(SpecModel):
    """Stores that the user runs; any number of replicas share them."""

    mongodb: MongoStore = Field(description="The store of the patterns.")
    redis: RedisStore = Field(description="The store of the sessions.")


class Storage(SpecModel):
    """Where the memory lies; the branch is immutable."""

    rules: ClassVar[tuple[Rule | Transition, ...]] = (
        Rule(
            cel="!(has(self.embedded) && has(self.external))",
            holds=lambda self: not ("embedded" in self and "external" in self),
            reads=("external", "embedded"),
            allowed="at most one of embedded and external",
        ),
        Transition(
            cel="!(has(self.external) && has(oldSelf.embedded))",
            holds=lambda self, old: not ("external" in self and "embedded" in old),
            reads=("external",),
            allowed="absent: this processor's memory is embedded, and the branch is immutable",
        ),
        Transition(
            cel="!(has(self.embedded) && has(oldSelf.external))",
            holds=lambda self, old: not ("embedded" in self and "external" in old),
            reads=("embedded",),
            allowed="absent: this processor's memory is external, and the branch is immutable",
        ),
    )

    embedded: EmbeddedStorage | None = Field(None, description="A volume of the processor's own; one replica.")
    external: ExternalStorage | None = Field(None, description="MongoDB and Redis that the user runs.")


class StorageStatus(SpecModel):
    """Which storage was resolved, and is kept."""

    type: Literal["Embedded", "External"] = Field(description="The branch that holds.")
    size: Quantity | None = Field(None, description="Size of the embedded volume.")
    requested_size: Quantity | None = Field(
        None, description="What the spec asks for, where the volume was found again and is larger."
    )
    ephemeral: bool | None = Field(None, description="Whether the embedded memory is lost with the pod.")
    claim_name: ObjectName | None = Field(None, description="The PersistentVolumeClaim of the embedded memory.")
    database: DatabaseName | None = Field(None, description="The MongoDB database of the external memory.")
