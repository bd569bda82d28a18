"""What the operator removes of a processor from real stores: all that the service keeps there, and nothing else."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from pymongo import AsyncMongoClient

from kato_operator.desired.stores import Stores
from kato_operator.reconcile.fence import Fence, NotLeader
from kato_operator.sessions.purge import Purge
from kato_service.processor.ports import Entry, Fold
from kato_service.stores.mongo_link import MongoLink
from kato_service.stores.mongo_memory import MongoMemory
from kato_service.stores.redis_link import RedisLink
from kato_service.stores.redis_sessions import RedisSessions
from kato_spec.keys import MONGODB_COLLECTIONS, database_name
from tests.contract.test_session_store import NOW, session
from tests.support.stores.redis_server import RedisServer
from tests.support.stores.server import PATIENCE, free_port


@dataclass
class Place:
    """The stores of one processor of the test, with a memory and sessions in them."""

    stores: Stores
    redis: RedisServer

    async def collections(self) -> set[str]:
        async with AsyncMongoClient(self.stores.mongodb_uri) as client:
            return set(await client[self.stores.database].list_collection_names())

    async def keep_a_note(self) -> None:
        async with AsyncMongoClient(self.stores.mongodb_uri) as client:
            await client[self.stores.database]["theirs"].insert_one({"a": 1})

    async def drop(self) -> None:
        async with AsyncMongoClient(self.stores.mongodb_uri) as client:
            await client.drop_database(self.stores.database)

    def keys(self) -> int:
        with self.redis.client() as client:
            return sum(1 for _ in client.scan_iter(f"{self.stores.keys}*", count=10_000))


async def fill(place: Place) -> None:
    """Keep an entry, a fold and more sessions than one batch has keys."""
    memory = MongoMemory(MongoLink(place.stores.mongodb_uri, place.stores.database, PATIENCE))
    await memory.append("n", Entry(1, NOW, ()))
    vectors, gone = {"VCTR|a": (1.0,)}, frozenset({"PTRN|a"})
    fold = Fold(0, 1, records=(), deleted=gone, vectors=vectors, cleared=False, at=NOW, forget_before=0.0)
    await memory.fold("n", fold)
    await memory.close()
    sessions = RedisSessions(RedisLink(place.redis.url, place.stores.keys, PATIENCE))
    for number in range(1100):
        await sessions.create(session(f"s{number}"), limit=0, now=NOW)
    await sessions.close()


@pytest.fixture(params=["redis", "redis-cluster"])
async def places(
    request: pytest.FixtureRequest, redis_servers: dict[str, RedisServer], mongo_uri: str
) -> AsyncIterator[tuple[Place, Place]]:
    """Two processors on the same stores, one whose name begins with the other's."""
    server, name = redis_servers[request.param], f"p{os.urandom(6).hex()}"
    made = [
        Place(Stores("test", each, database_name("test", each), mongo_uri, server.url), server)
        for each in (name, f"{name}0")
    ]
    for place in made:
        await fill(place)
    yield made[0], made[1]
    for place in made:
        await place.drop()


def purge() -> Purge:
    fence = Fence(lambda: 0.0)
    fence.extend(math.inf)
    return Purge(fence)


async def test_all_of_one_processor_goes_and_nothing_of_another(places: tuple[Place, Place]) -> None:
    place, other = places
    await place.keep_a_note()
    assert place.keys() > 1100
    before = other.keys()
    assert await purge().remove(place.stores, PATIENCE) == []
    assert place.keys() == 0
    assert await place.collections() == {"theirs"}
    assert other.keys() == before
    assert await other.collections() == set(MONGODB_COLLECTIONS)


async def test_removing_what_is_gone_is_no_trouble(places: tuple[Place, Place]) -> None:
    assert await purge().remove(places[0].stores, PATIENCE) == []
    assert await purge().remove(places[0].stores, PATIENCE) == []


async def test_stores_that_are_away_are_told_without_their_addresses() -> None:
    port = free_port()
    stores = Stores("a", "b", "kato_c", f"mongodb://u:hush@127.0.0.1:{port}", f"redis://:hush@127.0.0.1:{port}")
    left = await purge().remove(stores, PATIENCE)
    assert [line.split(" (")[0] for line in left] == ["MongoDB database kato_c", "Redis keys kato:{a/b}:*"]
    assert "hush" not in str(left)
    assert "127.0.0.1" not in str(left)


async def test_without_the_lease_nothing_is_removed() -> None:
    with pytest.raises(NotLeader):
        await Purge(Fence(lambda: 0.0)).remove(Stores("a", "b", "kato_c", "mongodb://x", "redis://x"), 1)
