"""The external stores of a processor, as its Secrets name them.

Called by the story of a processor and by what removes memory.
"""

from __future__ import annotations

from kato_operator.desired.stores import Sources, Stores, sources
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
    return await stores_in(world, key, str(resolved.database), sources(key.namespace, storage, world.policy.stores))


async def stores_in(world: World, key: Key, database: str, named: Sources) -> Stores:
    """Return the stores that Secrets name, for the processor of `key`.

    Raises:
        StoresMissing: as above.
    """
    mongodb_uri = await world.secrets.url(key, named.mongodb)
    redis_url = await world.secrets.url(key, named.redis)
    world.known_stores[key] = Stores(key.namespace, key.name, database, mongodb_uri, redis_url)
    return world.known_stores[key]
