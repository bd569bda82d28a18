"""No two processors keep their memory in one database: they would learn and forget in each other's name.

Called by the story of a processor before anything is made of it, and by the sweep. Names that are derived never meet;
a database that a spec names may be another processor's (spec: operator.md, KatoProcessor, spec.storage).
"""

from __future__ import annotations

from kato_operator.desired.kinds import Manifest
from kato_operator.desired.stores import Stores, StoresMissing, servers, sources
from kato_operator.desired.subject import Subject
from kato_operator.reconcile.judge import Judge
from kato_operator.reconcile.ports import Key
from kato_operator.reconcile.world import World, key_of
from kato_spec.errors import Rejected
from kato_spec.storage import Storage

FIELD = "spec.storage.external.mongodb.database"


class DatabaseTaken(Rejected):
    """An older processor has its memory in the same database of the same server."""

    reason = "DatabaseTaken"


async def check_database(world: World, judge: Judge, key: Key, body: Manifest, subject: Subject) -> None:
    """Refuse a database in which an older processor keeps its memory.

    Raises:
        DatabaseTaken: naming the database, and the other processor where it is in the same namespace.
    """
    database = subject.storage.database
    rivals = [] if database is None else world.cache.in_database(database)
    older = [rival for rival in rivals if key_of(rival) != key and _age(rival) < _age(body)]
    mine = await _servers(world, key, key.namespace, subject.spec.storage) if older else frozenset()
    for rival in older:
        if mine & await _servers_of(world, judge, key, rival):
            raise DatabaseTaken(FIELD, database, f"a database of its own: {_called(rival, key)} has its memory in it")


def is_taken_over(world: World, stores: Stores) -> bool:
    """Say whether another processor keeps its memory by now in the database of one that is gone."""
    others = (world.known_stores.get(key_of(other)) for other in world.cache.in_database(stores.database))
    mine = servers(stores.mongodb_uri)
    return any(mine & servers(other.mongodb_uri) for other in others if other and _place(other) != _place(stores))


async def _servers_of(world: World, judge: Judge, reader: Key, rival: Manifest) -> frozenset[str]:
    """Return the MongoDB servers of another processor; one that cannot be made as it is has none."""
    try:
        processor, _ = judge.processor(rival)
    except Rejected:
        return frozenset()
    return await _servers(world, reader, rival["metadata"]["namespace"], processor.spec.storage)


async def _servers(world: World, reader: Key, namespace: str, storage: Storage | None) -> frozenset[str]:
    """Return the MongoDB servers that a spec's Secrets name; what they lack is said where the stores are needed."""
    try:
        return servers(await world.secrets.url(reader, sources(namespace, storage, world.policy.stores).mongodb))
    except StoresMissing:
        return frozenset()


def _place(stores: Stores) -> tuple[str, str]:
    """Return whose stores these are."""
    return stores.namespace, stores.processor


def _age(body: Manifest) -> tuple[str, str, str]:
    """Return what processors are ordered by: who came first, has it."""
    metadata = body["metadata"]
    return metadata["creationTimestamp"], metadata["namespace"], metadata["name"]


def _called(rival: Manifest, key: Key) -> str:
    """Return what another processor is called to the owner of this one."""
    metadata = rival["metadata"]
    return f"KatoProcessor {metadata['name']}" if metadata["namespace"] == key.namespace else "another KatoProcessor"
