"""A Redis and a MongoDB, or what speaks its protocol, in the network of a test cluster: pods reach them by the node.

Called by tests/operator. They run beside the cluster, so that a test can stop and start them again.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.support.cluster.cluster import Cluster
from tests.support.cluster.control import ADDRESS
from tests.support.stores.mongo_server import MongoServer
from tests.support.stores.redis_server import RedisServer, redis_program

NAMED = 'exec -a "$0" "$@"'


class ClusterRedis(RedisServer):
    """A Redis with an append-only file."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        super().__init__(directory, appending=True)
        self._cluster = cluster

    @property
    def url(self) -> str:
        return f"redis://{ADDRESS}:{self.port}"

    def executable(self) -> str | None:
        return None

    def command(self) -> Sequence[str]:
        name, *words = super().command()
        words[words.index("127.0.0.1")] = "0.0.0.0"  # noqa: S104 - inside the cluster's own network
        options = [*words, "--protected-mode", "no"]
        return self._cluster.command(["bash", "-c", NAMED, name, redis_program(), *options])

    def answers(self) -> bool:
        with self._cluster.entered():
            return super().answers()

    def keys(self, prefix: str) -> int:
        """Count the keys with a prefix."""
        with self._cluster.entered(), self.client() as client:
            return sum(1 for _ in client.scan_iter(f"{prefix}*", count=10_000))


class ClusterMongo(MongoServer):
    """A MongoDB."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        super().__init__(directory)
        self._cluster = cluster

    @property
    def url(self) -> str:
        return f"mongodb://{ADDRESS}:{self.port}"

    def command(self) -> Sequence[str]:
        words = [ADDRESS if word == "127.0.0.1" else word for word in super().command()]
        words[0] = shutil.which(words[0]) or words[0]
        return self._cluster.command(words)

    def answers(self) -> bool:
        with self._cluster.entered():
            return super().answers()

    def collections(self, database: str) -> list[str]:
        """Return the names of what is in a database."""
        with self._cluster.entered(), self.client() as client:
            return sorted(client[database].list_collection_names())
