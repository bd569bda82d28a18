"""What goes with a processor, and what was left by those that are gone.

Called by `processor` for one that is being deleted, and by `rounds` for the sweep. Owned children go by themselves;
only memory with deletionPolicy Delete is removed here, before the object may go (spec: operator.md, "Deletion always
ends").
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from kato_operator.desired.kinds import CLAIM, CONFIG_MAP, DEPLOYMENT, POD, PROCESSOR, Kind, Manifest
from kato_operator.desired.memory import noted
from kato_operator.desired.names import (
    FIELD_MANAGER,
    MANAGED_BY_LABEL,
    ON_DELETE_ANNOTATION,
    PROCESSOR_LABEL,
    claim_name,
    memory_note_name,
)
from kato_operator.desired.stores import Stores, StoresMissing
from kato_operator.reconcile.children import Standing, standing
from kato_operator.reconcile.databases import is_taken_over
from kato_operator.reconcile.finalizers import is_held, set_finalizer
from kato_operator.reconcile.ports import Happening, Key, Refused
from kato_operator.reconcile.stores import stores_in
from kato_operator.reconcile.world import World, processor_key
from kato_spec.errors import Rejected, Transient
from kato_spec.keys import child_name

log = structlog.get_logger()

ASK_AGAIN_SECONDS = 1.0
TRY_SECONDS = 5.0
OURS: Final = Standing.OURS


async def remove(world: World, key: Key, body: Manifest) -> float | None:
    """Remove the memory of a processor that is being deleted; return when to look again, or None when it may go."""
    # 1. Only our finalizer makes us care.
    metadata = body["metadata"]
    if not is_held(body):
        return None
    # 2. Try, until the memory is gone or the time is over.
    end = datetime.fromisoformat(metadata["deletionTimestamp"]) + timedelta(seconds=world.policy.cleanup_seconds)
    seconds = (end - world.clock.now()).total_seconds()
    left = await _left(world, key, body, seconds) if body["spec"].get("deletionPolicy") == "Delete" else None
    if left and world.clock.now() < end:
        return ASK_AGAIN_SECONDS
    # 3. Let the object go; what was left is told, and the sweep goes after it.
    if left:
        await _tell_of_rest(world, body, left)
    await set_finalizer(world.cluster, PROCESSOR, body, wanted=False)
    return None


async def _tell_of_rest(world: World, body: Manifest, left: str) -> None:
    """Say what was not removed; a namespace that goes takes no Event any more, and must not be held up by one."""
    note = f"not removed within {world.policy.cleanup_seconds:.0f} s and left for the sweep: {left}"
    log.warning("memory left", processor=body["metadata"]["name"], namespace=body["metadata"]["namespace"], left=left)
    try:
        await world.cluster.announce(Happening(body, "Warning", "MemoryLeft", note))
    except Refused as error:
        log.info("no event", error=str(error))


async def _left(world: World, key: Key, body: Manifest, seconds: float) -> str | None:
    """Delete the pods and the memory; return what is still there, in words, or None."""
    claim, note = claim_name(key.name), memory_note_name(key.name)
    try:
        volume = await world.cluster.get(CLAIM, key.namespace, claim)
        noted = await world.cluster.get(CONFIG_MAP, key.namespace, note)
        volume = volume if volume and is_memory_of(volume, key.name) else None
        noted = noted if noted and is_memory_of(noted, key.name) else None
        shared = noted is not None or key in world.known_stores
        deployment = world.cache.get(DEPLOYMENT, key.namespace, child_name(key.name))
        if deployment and (volume or shared) and standing(deployment, body["metadata"]["uid"], key.name) is OURS:
            await world.cluster.delete(DEPLOYMENT, deployment)
        if volume:
            if not volume["metadata"].get("deletionTimestamp"):
                await world.cluster.delete(CLAIM, volume)
            return f"PersistentVolumeClaim {claim}"
        return await _left_in_stores(world, key, noted, seconds) if shared else None
    except (Transient, Rejected) as error:
        return f"the memory of {key.name} ({error})"


async def _left_in_stores(world: World, key: Key, note: Manifest | None, seconds: float) -> str | None:
    """Remove a memory from the stores that it shared, and the note about it; return what is still there, in words."""
    if world.cache.of_processor(POD, key.namespace, key.name):
        return "what its pods, which have not ended yet, keep in its stores"
    try:
        stores = await _noted_stores(world, key, note)
    except Rejected:
        if key not in world.known_stores:
            raise
        stores = world.known_stores[key]
    left = await world.stores.remove(stores, max(1.0, min(seconds, TRY_SECONDS)))
    if left:
        return "; ".join(left)
    if note:
        await world.cluster.delete(CONFIG_MAP, note)
    world.known_stores.pop(key, None)
    return None


async def _noted_stores(world: World, key: Key, note: Manifest | None) -> Stores:
    """Return the stores that a note names; without a note, those that were known last."""
    if note is None:
        return world.known_stores[key]
    found = noted(note, key.name, world.policy.stores)
    if found is None:
        raise StoresMissing(f"ConfigMap {note['metadata']['name']}", "StoresNotNamed", "names no stores any more")
    return await stores_in(world, key, *found)


def is_memory_of(claim: Manifest, processor: str) -> bool:
    """Say whether a claim is the memory of a processor, made by the operator."""
    labels = claim["metadata"].get("labels", {})
    return bool(labels.get(MANAGED_BY_LABEL) == FIELD_MANAGER and labels.get(PROCESSOR_LABEL) == processor)


async def sweep(world: World) -> None:
    """Remove memory that was to go with its processor, and whose processor is gone."""
    for kind, name_of in ((CLAIM, claim_name), (CONFIG_MAP, memory_note_name)):
        for doomed in world.cache.all(kind):
            metadata = doomed["metadata"]
            processor = metadata.get("labels", {}).get(PROCESSOR_LABEL, "")
            if metadata["name"] != name_of(processor) or not _is_doomed(doomed, processor):
                continue
            if await world.cluster.get(PROCESSOR, metadata["namespace"], processor) is None:
                log.info("memory without its processor is removed", **{kind.name: metadata["name"]})
                await _sweep_one(world, kind, doomed, processor_key(metadata["namespace"], processor))


def _is_doomed(memory: Manifest, processor: str) -> bool:
    """Say whether a memory was to go with its processor, and is not on its way already."""
    metadata = memory["metadata"]
    doomed = metadata.get("annotations", {}).get(ON_DELETE_ANNOTATION) == "Delete"
    return doomed and not metadata.get("deletionTimestamp") and is_memory_of(memory, processor)


async def _sweep_one(world: World, kind: Kind, memory: Manifest, key: Key) -> None:
    """Remove one memory; what cannot be removed now is said, and left for the next round."""
    if kind is CLAIM:
        await world.cluster.delete(CLAIM, memory)
        return
    try:
        if is_taken_over(world, await _noted_stores(world, key, memory)):
            log.info("memory is another processor's by now", processor=key.name, namespace=key.namespace)
            await world.cluster.delete(CONFIG_MAP, memory)
            left = None
        else:
            left = await _left_in_stores(world, key, memory, TRY_SECONDS)
    except Rejected as error:
        left = str(error)
    if left:
        log.warning("memory left", processor=key.name, namespace=key.namespace, left=left)
    world.secrets.forget(key)
    world.known_stores.pop(key, None)
