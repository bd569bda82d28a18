"""Several replicas of one processor on real stores, for tests. Called by tests/service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kato_spec.keys import database_name, key_prefix
from tests.support.service_process import ServiceProcess
from tests.support.stores.mongo_server import MEMORY, MongoServer
from tests.support.stores.redis_server import RedisServer
from tests.support.stores.server import PATIENCE


@dataclass
class Stores:
    """A Redis with an append-only file and a MongoDB, or what speaks its protocol."""

    redis: RedisServer
    mongo: MongoServer

    @classmethod
    def below(cls, directory: Path, memory: str = MEMORY) -> Stores:
        return cls(RedisServer(directory / "redis", appending=True), MongoServer(directory / "mongo", memory))

    def start(self) -> None:
        for server in (self.redis, self.mongo):
            server.start()

    def close(self) -> None:
        for server in (self.redis, self.mongo):
            server.close()


@contextmanager
def running_stores(directory: Path, memory: str = MEMORY) -> Iterator[Stores]:
    """Run both stores for as long as the block; what speaks MongoDB's protocol may use `memory`."""
    stores = Stores.below(directory, memory)
    try:
        stores.start()
        yield stores
    finally:
        stores.close()


@dataclass
class Replicas:
    """The processes of one processor, whose id no other test has."""

    directory: Path
    stores: Stores
    redis_url: str = ""
    mongodb_uri: str = ""
    processor: str = field(default_factory=lambda: f"p{os.urandom(6).hex()}")
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[ServiceProcess] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        return key_prefix("local", self.processor)

    @property
    def database(self) -> str:
        return database_name("local", self.processor)

    def add(self, **settings: str) -> ServiceProcess:
        """Return one more replica, which is not started yet."""
        directory = self.directory / f"{self.processor}-{len(self.processes)}"
        directory.mkdir(parents=True)
        own = {
            "KATO_DATA_DIR": "",
            "KATO_PROCESSOR_ID": self.processor,
            "KATO_REDIS_URL": self.redis_url or self.stores.redis.url,
            "KATO_MONGODB_URI": self.mongodb_uri or self.stores.mongo.url,
            "KATO_STORE_TIMEOUT_SECONDS": str(PATIENCE),
            "KATO_REPLICA_NAME": f"replica-{len(self.processes)}",
            **self.settings,
            **{f"KATO_{name.upper()}": value for name, value in settings.items()},
        }
        self.processes.append(ServiceProcess(directory, own))
        return self.processes[-1]

    def start(self, count: int) -> list[ServiceProcess]:
        """Start `count` replicas at once and return them when they serve."""
        added = [self.add() for _ in range(count)]
        for each in added:
            each.spawn()
        for each in added:
            each.wait_until_serving()
        return added

    def close(self) -> None:
        """End every process in whatever state it is."""
        for each in self.processes:
            if each.process is not None and each.process.poll() is None:
                each.kill()
