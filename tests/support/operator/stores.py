"""A Redis and a MongoDB, or what speaks its protocol, in the network of a test cluster: pods reach them by the node.

Called by tests/operator and tests/e2e. They run beside the cluster, so that a test can stop and start them again.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.support.cluster.cluster import Cluster
from tests.support.cluster.control import ADDRESS
from tests.support.stores.mongo_server import MongoServer
from tests.support.stores.redis_server import RedisServer, redis_program

Json = dict[str, Any]
NAMED = 'exec -a "$0" "$@"'
# Elsewhere they would have a machine of their own: here they go before whatever else runs on the node.
FIRST = ("nice", "-n", "-15")


class ClusterRedis(RedisServer):
    """A Redis with an append-only file, which asks for a `password`."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        super().__init__(directory, appending=True)
        self._cluster = cluster
        self.password = f"of-redis-{secrets.token_hex(8)}"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{ADDRESS}:{self.port}"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=self.password)

    def executable(self) -> str | None:
        return None

    def command(self) -> Sequence[str]:
        name, *words = super().command()
        words[words.index("127.0.0.1")] = "0.0.0.0"  # noqa: S104 - inside the cluster's own network
        options = [*words, "--requirepass", self.password]
        return self._cluster.command([*FIRST, "bash", "-c", NAMED, name, redis_program(), *options])

    def answers(self) -> bool:
        with self._cluster.entered():
            return super().answers()

    def keys(self, prefix: str) -> int:
        """Count the keys with a prefix."""
        with self._cluster.entered(), self.client() as client:
            return sum(1 for _ in client.scan_iter(f"{prefix}*", count=10_000))


class ClusterMongo(MongoServer):
    """A MongoDB, whose URL holds a `password` in a field that no server checks: what stands in for it has no users."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        super().__init__(directory)
        self._cluster = cluster
        self.password = f"of-mongodb-{secrets.token_hex(8)}"

    @property
    def url(self) -> str:
        return f"mongodb://{ADDRESS}:{self.port}/?appName={self.password}"

    def command(self) -> Sequence[str]:
        words = [ADDRESS if word == "127.0.0.1" else word for word in super().command()]
        words[0] = shutil.which(words[0]) or words[0]
        return self._cluster.command([*FIRST, *words])

    def answers(self) -> bool:
        with self._cluster.entered():
            return super().answers()

    def collections(self, database: str) -> list[str]:
        """Return the names of what is in a database."""
        with self._cluster.entered(), self.client() as client:
            return sorted(client[database].list_collection_names())


@dataclass(frozen=True)
class Stores:
    """What processors share."""

    redis: ClusterRedis
    mongo: ClusterMongo

    def secret(self, namespace: str) -> Json:
        """Return the Secret `stores` that names both."""
        values = {"uri": self.mongo.url, "url": self.redis.url}
        metadata = {"name": "stores", "namespace": namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


@contextmanager
def running_stores(cluster: Cluster, directory: Path) -> Iterator[Stores]:
    """Run a Redis and a MongoDB until the block ends."""
    stores = Stores(ClusterRedis(cluster, directory / "redis"), ClusterMongo(cluster, directory / "mongo"))
    try:
        stores.redis.start()
        stores.mongo.start()
        yield stores
    finally:
        stores.redis.close()
        stores.mongo.close()
