"""Does the memory go with its processor? What is written beside it, and our finalizer, as the deletion policy says.

Called by the story of a processor before anything that may be refused, by what removes memory, and by the hook that
lets processors go. The finalizer comes before the mark that a sweep goes by, and goes after it: whatever breaks off in
between, memory that is to be retained is never taken for memory that was left (spec: operator.md, spec.deletionPolicy).
"""

from __future__ import annotations

import structlog

from kato_operator.desired.kinds import CLAIM, CONFIG_MAP, PROCESSOR, Manifest
from kato_operator.desired.names import ON_DELETE_ANNOTATION, claim_name, is_marked_as, memory_note_name
from kato_operator.reconcile.finalizers import is_held, set_finalizer
from kato_operator.reconcile.ports import Cluster, Key, Refused
from kato_operator.reconcile.world import World

log = structlog.get_logger()


async def settle_policy(world: World, key: Key, body: Manifest) -> bool:
    """Have our finalizer where the memory is to go with its processor, and no mark where not; say if it was moved.

    What the API server does not take is logged and tried with the next look: a status must say why.
    """
    try:
        stored = await _settled(world, key, body)
    except Refused as error:
        log.warning("the deletion policy is not settled", processor=key.name, namespace=key.namespace, error=str(error))
        return False
    if stored is None:
        return False
    world.cache.put(PROCESSOR, stored)
    if not is_held(stored):
        await world.rights.let_go(key.namespace)
    return True


async def _settled(world: World, key: Key, body: Manifest) -> Manifest | None:
    """Bring mark and finalizer to what is asked for; return the processor if its finalizer was moved."""
    wanted = goes_along(body)
    if wanted:
        await world.rights.keep(key.namespace)
    elif is_held(body) or _is_marked(world, key):
        await retain(world.cluster, key.namespace, key.name)
    return await set_finalizer(world.cluster, PROCESSOR, body, wanted=wanted)


def goes_along(body: Manifest) -> bool:
    """Say whether the memory of a processor is to go with it."""
    return bool(body["spec"].get("deletionPolicy") == "Delete")


async def retain(cluster: Cluster, namespace: str, processor: str) -> None:
    """Take away what says that a memory is to go with its processor; the API server is asked, for a cache may lag.

    Raises:
        Refused: the API server does not take it; the finalizer must stay, or a sweep removes what is to be retained.
    """
    claim = await cluster.get(CLAIM, namespace, claim_name(processor))
    if claim is not None and is_marked_as(claim["metadata"], processor):
        await mark(cluster, claim, "Retain")
    await drop_note(cluster, namespace, processor)


async def drop_note(cluster: Cluster, namespace: str, processor: str) -> None:
    """Delete the note of a memory in shared stores, if it is there and ours."""
    note = await cluster.get(CONFIG_MAP, namespace, memory_note_name(processor))
    if note is not None and is_marked_as(note["metadata"], processor):
        await cluster.delete(CONFIG_MAP, note)


async def mark(cluster: Cluster, claim: Manifest, policy: str) -> None:
    """Write on a volume claim what is to become of it without its processor."""
    metadata = claim["metadata"]
    known = metadata.get("annotations", {})
    if known.get(ON_DELETE_ANNOTATION) == policy or metadata.get("deletionTimestamp"):
        return
    annotations = {**known, ON_DELETE_ANNOTATION: policy}
    await cluster.replace(CLAIM, {**claim, "metadata": {**metadata, "annotations": annotations}})


def is_doomed(memory: Manifest) -> bool:
    """Say whether a claim or a note says that the memory goes with its processor."""
    return bool(memory["metadata"].get("annotations", {}).get(ON_DELETE_ANNOTATION) == "Delete")


def _is_marked(world: World, key: Key) -> bool:
    """Say whether the watches know of a mark."""
    places = ((CLAIM, claim_name(key.name)), (CONFIG_MAP, memory_note_name(key.name)))
    known = [world.cache.get(kind, key.namespace, name) for kind, name in places]
    return any(memory and is_marked_as(memory["metadata"], key.name) and is_doomed(memory) for memory in known)
