"""What goes with a processor, and what was left by those that are gone.

Called by `processor` for one that is being deleted, and by `rounds` for the sweep. Owned children go by themselves;
only memory with deletionPolicy Delete is removed here, before the object may go (spec: operator.md, "Deletion always
ends").
"""

from __future__ import annotations

from datetime import datetime

import structlog

from kato_operator.desired.kinds import CLAIM, DEPLOYMENT, PROCESSOR, Manifest
from kato_operator.desired.names import (
    FIELD_MANAGER,
    FINALIZER,
    MANAGED_BY_LABEL,
    ON_DELETE_ANNOTATION,
    PROCESSOR_LABEL,
    claim_name,
)
from kato_operator.reconcile.children import Standing, standing
from kato_operator.reconcile.ports import Happening, Key, Refused
from kato_operator.reconcile.world import World
from kato_spec.errors import Transient
from kato_spec.keys import child_name

log = structlog.get_logger()

ASK_AGAIN_SECONDS = 1.0


async def remove(world: World, key: Key, body: Manifest) -> float | None:
    """Remove the memory of a processor that is being deleted; return when to look again, or None when it may go."""
    # 1. Only our finalizer makes us care.
    metadata = body["metadata"]
    if FINALIZER not in metadata.get("finalizers", ()):
        return None
    # 2. Try, until the memory is gone or the time is over.
    left = await _left(world, key, body) if body["spec"].get("deletionPolicy") == "Delete" else None
    asked = datetime.fromisoformat(metadata["deletionTimestamp"])
    over = (world.clock.now() - asked).total_seconds() >= world.policy.cleanup_seconds
    if left and not over:
        return ASK_AGAIN_SECONDS
    # 3. Let the object go; what was left is told, and the sweep goes after it.
    if left:
        note = f"not removed within {world.policy.cleanup_seconds:.0f} s and left for the sweep: {left}"
        await world.cluster.announce(Happening(body, "Warning", "MemoryLeft", note))
    finalizers = [finalizer for finalizer in metadata["finalizers"] if finalizer != FINALIZER]
    await world.cluster.set_finalizers(PROCESSOR, body, finalizers)
    return None


async def _left(world: World, key: Key, body: Manifest) -> str | None:
    """Delete the pods and the memory; return what is still there, in words, or None."""
    name = claim_name(key.name)
    try:
        claim = await world.cluster.get(CLAIM, key.namespace, name)
        if claim is None or not is_memory_of(claim, key.name):
            return None
        deployment = world.cache.get(DEPLOYMENT, key.namespace, child_name(key.name))
        if deployment and standing(deployment, body["metadata"]["uid"], key.name) is Standing.OURS:
            await world.cluster.delete(DEPLOYMENT, deployment)
        if not claim["metadata"].get("deletionTimestamp"):
            await world.cluster.delete(CLAIM, claim)
    except (Transient, Refused) as error:
        return f"PersistentVolumeClaim {name} ({error})"
    return f"PersistentVolumeClaim {name}"


def is_memory_of(claim: Manifest, processor: str) -> bool:
    """Say whether a claim is the memory of a processor, made by the operator."""
    labels = claim["metadata"].get("labels", {})
    return bool(labels.get(MANAGED_BY_LABEL) == FIELD_MANAGER and labels.get(PROCESSOR_LABEL) == processor)


async def sweep(world: World) -> None:
    """Remove memory that was to go with its processor, and whose processor is gone."""
    for claim in world.cache.all(CLAIM):
        metadata = claim["metadata"]
        processor = metadata.get("labels", {}).get(PROCESSOR_LABEL, "")
        doomed = metadata.get("annotations", {}).get(ON_DELETE_ANNOTATION) == "Delete"
        if not doomed or metadata.get("deletionTimestamp") or not is_memory_of(claim, processor):
            continue
        if metadata["name"] != claim_name(processor):
            continue
        if await world.cluster.get(PROCESSOR, metadata["namespace"], processor) is None:
            log.info("memory without its processor is removed", claim=metadata["name"], namespace=metadata["namespace"])
            await world.cluster.delete(CLAIM, claim)
