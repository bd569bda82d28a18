"""The external stores of a processor, as its Secrets name them.

Called by the story of a processor and by what removes memory.
"""

from __future__ import annotations

from kato_operator.desired.stores import Stores, sources
from kato_operator.reconcile.ports import Key
from kato_operator.reconcile.world import World
from kato_spec.storage import Storage, StorageStatus


async def stores_of(world: World, key: Key, storage: Storage | None, resolved: StorageStatus) -> Stores | None:
    """Return the stores of a processor, or None when its memory is embedded.

    Raises:
        StoresMissing: a Secret does not say which they are.
    """
    if resolved.type != "External":
        return None
    named = sources(key.namespace, storage, world.policy.stores)
    return Stores(
        key.namespace,
        key.name,
        str(resolved.database),
        await world.secrets.url(key, named.mongodb),
        await world.secrets.url(key, named.redis),
    )
