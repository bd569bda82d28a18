"""Which storage holds a processor's memory: resolved once, then kept in `status.storage`.

Called by `reconcile` before any manifest is made (spec: operator.md, KatoProcessor, spec.storage).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kato_operator.desired.kinds import Manifest
from kato_operator.desired.names import claim_name
from kato_spec.errors import Rejected
from kato_spec.keys import database_name
from kato_spec.processor import KatoProcessor
from kato_spec.quantities import exceeds
from kato_spec.storage import EmbeddedStorage, ExternalStorage, StorageStatus


def resolve(
    processor: KatoProcessor, namespace: str, kept: StorageStatus | None, *, shared: bool = False
) -> StorageStatus:
    """Return the storage of `processor`: what its spec names, what is `kept`, or what a new one gets.

    That is the chart's stores where it names some (`shared`), else an embedded volume.

    Raises:
        Rejected: the spec asks for something else than what was resolved before; the schema cannot see that.
    """
    storage = processor.spec.storage
    if storage and storage.external:
        if kept is not None and kept.type == "Embedded":
            raise Rejected("spec.storage.external", "present", "absent: this processor's memory is embedded, for good")
        return _external(processor, namespace, storage.external, kept)
    if storage and storage.embedded:
        wanted = _embedded(processor, storage.embedded)
        if kept is not None:
            _check_kept(kept, wanted)
        return wanted
    if kept is not None:
        return kept
    return _derived(processor, namespace) if shared else _embedded(processor, EmbeddedStorage())


def database_of(body: Manifest) -> str | None:
    """Return the database of a stored KatoProcessor as far as it is known already, None when its memory is embedded."""
    kept: str | None = body.get("status", {}).get("storage", {}).get("database")
    external = (body.get("spec", {}).get("storage") or {}).get("external")
    if kept or not external:
        return kept
    metadata, named = body["metadata"], external.get("mongodb", {}).get("database")
    return named or database_name(metadata["namespace"], metadata["name"])


def check_scale(processor: KatoProcessor, storage: StorageStatus) -> None:
    """Refuse more pods than the resolved storage can serve; the schema sees only storage that is written out.

    Raises:
        Rejected: embedded memory and more than one replica, or an autoscaler.
    """
    if storage.type != "Embedded":
        return
    if processor.spec.replicas > 1:
        raise Rejected("spec.replicas", processor.spec.replicas, "0 or 1 with embedded storage")
    if processor.spec.autoscaling:
        raise Rejected("spec.autoscaling", "present", "absent with embedded storage, which serves one replica")


def _embedded(processor: KatoProcessor, storage: EmbeddedStorage) -> StorageStatus:
    """Return embedded storage as the status says it."""
    claim = None if storage.ephemeral else claim_name(processor.metadata.name)
    return StorageStatus(type="Embedded", size=storage.size, ephemeral=storage.ephemeral, claim_name=claim)


def as_found(storage: StorageStatus, claim: Mapping[str, Any] | None) -> StorageStatus:
    """Return `storage` at the size of its volume claim, where that was found again and is larger; it never shrinks."""
    there = claim["spec"]["resources"]["requests"]["storage"] if claim else None
    if storage.claim_name is None or not exceeds(there, storage.size):
        return storage
    return storage.model_copy(update={"size": there, "requested_size": storage.requested_size or storage.size})


def _external(
    processor: KatoProcessor, namespace: str, storage: ExternalStorage, kept: StorageStatus | None
) -> StorageStatus:
    """Return external storage as the status says it; another database than before would be another memory."""
    named = storage.mongodb.database
    wanted = StorageStatus(type="External", database=named) if named else _derived(processor, namespace)
    if kept is not None and kept.database not in (None, wanted.database):
        allowed = f"{kept.database}: the memory is there, and stays there"
        raise Rejected("spec.storage.external.mongodb.database", named or "left out", allowed)
    return wanted


def _derived(processor: KatoProcessor, namespace: str) -> StorageStatus:
    """Return external storage in the database whose name follows from the processor's."""
    return StorageStatus(type="External", database=database_name(namespace, processor.metadata.name))


def _check_kept(kept: StorageStatus, wanted: StorageStatus) -> None:
    """Refuse what would lose memory: another branch, a smaller volume, a pod's memory for a volume's."""
    if kept.type != "Embedded":
        raise Rejected("spec.storage.embedded", "present", "absent: this processor's memory is external, for good")
    if kept.ephemeral != wanted.ephemeral:
        raise Rejected("spec.storage.embedded.ephemeral", wanted.ephemeral, f"{kept.ephemeral}: it cannot change")
    least = kept.requested_size or kept.size
    if exceeds(least, wanted.size):
        raise Rejected("spec.storage.embedded.size", wanted.size, f"at least {least}: it may only grow")
