"""What the manifests of one processor are made of.

Put together by `reconcile`, read by every module of this room, so that each manifest is a function of one value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from kato_operator.desired import names
from kato_operator.desired.kinds import PROCESSOR, Kind, Manifest
from kato_operator.desired.stores import Stores
from kato_spec.keys import child_name
from kato_spec.processor import KatoProcessor, KatoProcessorSpec
from kato_spec.rules import SpecModel
from kato_spec.storage import StorageStatus


@dataclass(frozen=True, slots=True)
class Subject:
    """One KatoProcessor as it is to be made real.

    `uid` and `generation` are those of the stored object; `storage` is what was resolved; `default_image` runs where
    the spec names none; `token` opens the pods' internal API; `stores` are the external ones, once they are known.
    """

    processor: KatoProcessor
    namespace: str
    uid: str
    generation: int
    storage: StorageStatus
    default_image: str
    token: str
    stores: Stores | None = None

    @property
    def name(self) -> str:
        """The processor's name."""
        return self.processor.metadata.name

    @property
    def spec(self) -> KatoProcessorSpec:
        """What the user wants."""
        return self.processor.spec

    @property
    def embedded(self) -> bool:
        """Whether the memory lies with the pod."""
        return self.storage.type == "Embedded"

    @property
    def replicas(self) -> int:
        """Pods wanted now."""
        return 0 if self.spec.suspend else self.spec.replicas

    @property
    def token_digest(self) -> str:
        """A short digest of the token: pods are replaced when it changes, for they have it from their start."""
        return hashlib.sha256(self.token.encode()).hexdigest()[:16]

    def child(self, kind: Kind, name: str | None = None, *, annotations: dict[str, str] | None = None) -> Metadata:
        """Begin a child of `kind`, named `kato-<name>` unless told otherwise, labelled and owned by the processor."""
        metadata: Manifest = {
            "name": name or child_name(self.name),
            "namespace": self.namespace,
            "labels": names.labels(self.name),
            "ownerReferences": [self._owner()],
        }
        if annotations:
            metadata["annotations"] = annotations
        return Metadata(kind, metadata)

    def _owner(self) -> Manifest:
        """Return the owner reference of the children."""
        return {
            "apiVersion": PROCESSOR.api_version,
            "kind": PROCESSOR.name,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


@dataclass(frozen=True, slots=True)
class Metadata:
    """A manifest that has its metadata and nothing else yet."""

    kind: Kind
    metadata: Manifest

    def having(self, **fields: object) -> Manifest:
        """Return the manifest with its top-level `fields`."""
        return self.kind.manifest(self.metadata, **fields)


def plain(model: SpecModel) -> dict[str, Any]:
    """Return a manifest model as Kubernetes spells it: camelCase, what is not set left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
