"""What goes with a processor, and what was left by those that are gone.

Called by `processor` for one that is being deleted, and by `rounds` for the sweep. Owned children go by themselves;
only memory with deletionPolicy Delete is removed here, before the object may go (spec: operator.md, "Deletion always
ends").
"""

from __future__ import annotations

from typing import Final

import structlog

from kato_operator.desired.kinds import CLAIM, CONFIG_MAP, DEPLOYMENT, POD, PROCESSOR, Kind, Manifest
from kato_operator.desired.memory import noted
from kato_operator.desired.names import PROCESSOR_LABEL, claim_name, is_marked_as, memory_note_name
from kato_operator.desired.stores import Stores, StoresMissing
from kato_operator.reconcile.children import Standing, standing
from kato_operator.reconcile.databases import is_taken_over
from kato_operator.reconcile.finalizers import is_held, set_finalizer
from kato_operator.reconcile.ports import Happening, Key
from kato_operator.reconcile.retention import drop_note, goes_along, is_doomed, mark, retain
from kato_operator.reconcile.statuses import tell
from kato_operator.reconcile.stores import stores_in
from kato_operator.reconcile.world import World, processor_key
from kato_spec.errors import KatoError, Rejected, Transient
from kato_spec.keys import child_name

log = structlog.get_logger()

ASK_AGAIN_SECONDS = 1.0
TRY_SECONDS = 5.0
OURS: Final = Standing.OURS


async def remove(world: World, key: Key, body: Manifest) -> float | None:
    """Remove the memory of a processor that is being deleted; return when to look again, or None when it may go."""
    # 1. Only our finalizer makes us care.
    if not is_held(body):
        return None
    # 2. Memory that is to stay is kept from the sweep.
    if not goes_along(body):
        await retain(world.cluster, key.namespace, key.name)
        await set_finalizer(world.cluster, PROCESSOR, body, wanted=False)
        return None
    # 3. Else try, until it is gone or the time is over; what was left is told, and the sweep goes after it.
    end = world.tried.setdefault(body["metadata"]["uid"], world.clock.monotonic()) + world.policy.cleanup_seconds
    left = await _left(world, key, body, end - world.clock.monotonic())
    if left and world.clock.monotonic() < end:
        return ASK_AGAIN_SECONDS
    if left:
        await _tell_of_rest(world, body, left)
    # 4. Let the object go, and last the note of its memory: a process that dies in between leaves it to the sweep.
    await set_finalizer(world.cluster, PROCESSOR, body, wanted=False)
    if not left:
        await drop_note(world.cluster, key.namespace, key.name)
    return None


async def _tell_of_rest(world: World, body: Manifest, left: str) -> None:
    """Say what was not removed."""
    note = f"not removed within {world.policy.cleanup_seconds:.0f} s and left for the sweep: {left}"
    log.warning("memory left", processor=body["metadata"]["name"], namespace=body["metadata"]["namespace"], left=left)
    await tell(world, Happening(body, "Warning", "MemoryLeft", note))


async def _left(world: World, key: Key, body: Manifest, seconds: float) -> str | None:
    """Delete the pods and the memory; return what is still there, in words, or None."""
    claim, note = claim_name(key.name), memory_note_name(key.name)
    try:
        volume = await world.cluster.get(CLAIM, key.namespace, claim)
        noted = await world.cluster.get(CONFIG_MAP, key.namespace, note)
        volume = volume if volume and is_marked_as(volume["metadata"], key.name) else None
        noted = noted if noted and is_marked_as(noted["metadata"], key.name) else None
        shared = noted is not None or key in world.known_stores
        deployment = world.cache.get(DEPLOYMENT, key.namespace, child_name(key.name))
        if deployment and (volume or shared) and standing(deployment, body["metadata"]["uid"], key.name) is OURS:
            await world.cluster.delete(DEPLOYMENT, deployment)
        if volume:
            await mark(world.cluster, volume, "Delete")  # for the sweep, should the processor have to go before it
            if not volume["metadata"].get("deletionTimestamp"):
                await world.cluster.delete(CLAIM, volume)
            return f"PersistentVolumeClaim {claim}"
        return await _left_in_stores(world, key, noted, seconds) if shared else None
    except (Transient, Rejected) as error:
        return f"the memory of {key.name} ({error})"


async def _left_in_stores(world: World, key: Key, note: Manifest | None, seconds: float) -> str | None:
    """Remove a memory from the stores that it shared; return what is still there, in words."""
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


async def sweep(world: World) -> None:
    """Remove memory that was to go with its processor, and whose processor is gone; what fails holds up nothing."""
    for kind, name_of in ((CLAIM, claim_name), (CONFIG_MAP, memory_note_name)):
        for memory in world.cache.all(kind):
            metadata = memory["metadata"]
            processor = metadata.get("labels", {}).get(PROCESSOR_LABEL, "")
            if metadata["name"] != name_of(processor) or not _is_to_go(memory, processor):
                continue
            key = processor_key(metadata["namespace"], processor)
            try:
                left = await _sweep_one(world, kind, metadata["name"], key)
            except KatoError as error:
                left = str(error)
            if left:
                log.warning("memory left", processor=processor, namespace=key.namespace, left=left)


def _is_to_go(memory: Manifest, processor: str) -> bool:
    """Say whether a memory was to go with its processor, and is not on its way already."""
    metadata = memory["metadata"]
    return is_doomed(memory) and not metadata.get("deletionTimestamp") and is_marked_as(metadata, processor)


async def _sweep_one(world: World, kind: Kind, name: str, key: Key) -> str | None:
    """Remove one memory unless its processor is there; return what cannot be removed now, in words, or None."""
    if await world.cluster.get(PROCESSOR, key.namespace, key.name) is not None:
        return None
    # What it says counts as of now: the last that the processor's story did may have been to retain it.
    memory = await world.cluster.get(kind, key.namespace, name)
    if memory is None or not _is_to_go(memory, key.name):
        return None
    log.info("memory without its processor is removed", **{kind.name: name})
    if kind is CLAIM:
        await world.cluster.delete(CLAIM, memory)
        return None
    try:
        if is_taken_over(world, await _noted_stores(world, key, memory)):
            log.info("memory is another processor's by now", processor=key.name, namespace=key.namespace)
        elif left := await _left_in_stores(world, key, memory, TRY_SECONDS):
            return left
        await world.cluster.delete(CONFIG_MAP, memory)
        return None
    finally:
        world.secrets.forget(key)
        world.known_stores.pop(key, None)
