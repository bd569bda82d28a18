"""Every store behind the ports, each made fresh and closed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pymongo import AsyncMongoClient

from kato_service.processor.ports import MemoryStore, SessionStore
from kato_service.stores.memory import VolatileMemory, VolatileSessions
from kato_service.stores.mongo_link import MongoLink
from kato_service.stores.mongo_memory import MongoMemory
from kato_service.stores.redis_link import RedisLink
from kato_service.stores.redis_sessions import RedisSessions
from kato_service.stores.sqlite_memory import SqliteMemory
from kato_service.stores.sqlite_sessions import SqliteSessions
from kato_spec.keys import database_name, key_prefix
from tests.support.stores.mongo_server import MongoServer
from tests.support.stores.redis_server import RedisServer
from tests.support.stores.server import PATIENCE


@pytest.fixture(scope="session")
def redis_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RedisServer]]:
    """Two Redis servers: a plain one, and one with cluster mode on and all slots."""
    directory = tmp_path_factory.mktemp("redis")
    with in_memory() as cluster_directory:
        servers = {
            "redis": RedisServer(directory),
            "redis-cluster": RedisServer(cluster_directory, clustered=True),
        }
        try:
            for server in servers.values():
                server.start()
            yield servers
        finally:
            for server in servers.values():
                server.close()


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory that no busy disk slows down: a Redis of a cluster syncs its view of the cluster now and then."""
    memory = Path("/dev/shm")  # noqa: S108 - a directory of our own in it
    with TemporaryDirectory(prefix="kato-redis-", dir=memory if memory.is_dir() else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB, or what speaks its protocol."""
    if named := os.environ.get("KATO_TEST_MONGODB_URI"):
        yield named
        return
    server = MongoServer(tmp_path_factory.mktemp("mongo"))
    try:
        server.start()
        yield server.url
    finally:
        server.close()


@pytest.fixture(params=["memory", "sqlite", "mongo"])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MemoryStore]:
    store: MemoryStore
    if request.param == "mongo":
        uri, name = request.getfixturevalue("mongo_uri"), database_name("test", os.urandom(8).hex())
        store = MongoMemory(MongoLink(uri, name, PATIENCE))
    else:
        store = VolatileMemory() if request.param == "memory" else SqliteMemory(tmp_path / "memory.db")
    yield store
    await store.close()
    if request.param == "mongo":
        async with AsyncMongoClient(uri) as client:
            await client.drop_database(name)


@pytest.fixture(params=["memory", "sqlite", "redis", "redis-cluster"])
async def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SessionStore]:
    store: SessionStore
    if request.param.startswith("redis"):
        servers: dict[str, RedisServer] = request.getfixturevalue("redis_servers")
        store = RedisSessions(RedisLink(servers[request.param].url, key_prefix("test", os.urandom(8).hex()), PATIENCE))
    else:
        store = VolatileSessions() if request.param == "memory" else SqliteSessions(tmp_path / "sessions.db")
    yield store
    await store.close()
