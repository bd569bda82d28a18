"""Redis servers for tests: the one on PATH, else Debian's, installed when it is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import redis

from tests.support.cluster.errors import ClusterError
from tests.support.cluster.machine import install
from tests.support.eventually import eventually
from tests.support.stores.server import STARTING, Server, StoresError, free_port

SLOTS = 16384


@cache
def redis_program() -> str:
    """Return the file of the Redis server.

    Debian's redis-tools has it under the name of one of its faces, and starts no service as redis-server would.

    Raises:
        StoresError: there is none, and it cannot be installed.
    """
    for name in ("redis-server", "redis-check-rdb"):
        if found := shutil.which(name):
            return found
    if os.geteuid() != 0:
        raise StoresError("these tests need redis-server on PATH (Debian: redis-tools), or root to install it")
    try:
        install(["redis-tools"])
    except ClusterError as error:
        raise StoresError(f"these tests need redis-server on PATH: {error}") from error
    return shutil.which("redis-check-rdb") or redis_program()


class RedisServer(Server):
    """One Redis server; `clustered`: with cluster mode on and all slots; `appending`: with an append-only file."""

    def __init__(self, directory: Path, *, clustered: bool = False, appending: bool = False) -> None:
        super().__init__(directory)
        self.clustered, self.appending = clustered, appending
        self.bus_port = free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def executable(self) -> str | None:
        return redis_program()

    def command(self) -> Sequence[str]:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory), "--save", ""]
        if self.appending:
            # What is written outlives the process, and no test ends the machine: it need not wait for a slow disk.
            options += ["--appendonly", "yes", "--appendfsync", "no"]
        if self.clustered:
            options += ["--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)]
        return ["redis-server", *options]

    def start(self) -> None:
        fresh = not (self.directory / "nodes.conf").exists()
        super().start()
        if self.clustered and fresh:
            with self.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        if self.clustered:
            eventually(self._whole, timeout=STARTING)

    def client(self) -> redis.Redis:
        """Return a client for the test's own looks and changes."""
        return redis.Redis(port=self.port)

    def answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def _whole(self) -> bool:
        with self.client() as client:
            return "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO"))
