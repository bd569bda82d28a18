"""An operator whose way to the API server can be harmed: the proxy as a process, told what to do by the test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import http
from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[3]


class Proxy:
    """The proxy of one operator; `url` is what the operator takes for the API server."""

    def __init__(self, cluster: Cluster, port: int) -> None:
        self._cluster = cluster
        self.url = f"http://127.0.0.1:{port}"

    def harm(self, **faults: object) -> None:
        """Do this harm from now on, and no other; see `proxy.Faults`."""
        with self._cluster.entered():
            http.put(f"{self.url}/faults", json=faults).raise_for_status()

    def seen(self, what: str) -> int:
        """Return how often something was seen: a method, `failures`, `broken`, `cut watches`."""
        with self._cluster.entered():
            return int(http.get(f"{self.url}/faults").json().get(what, 0))

    @property
    def requests(self) -> int:
        """How many requests have come."""
        return sum(map(self.seen, ("GET", "POST", "PUT", "PATCH", "DELETE")))


@contextmanager
def faulty(cluster: Cluster, directory: Path) -> Iterator[Proxy]:
    """Run a proxy to the cluster's API server until the block ends."""
    port_file = directory / "port"
    words = [sys.executable, "-m", "tests.support.operator.proxy", str(cluster.kubeconfig), str(port_file)]
    with (directory / "proxy.log").open("wb") as log:
        process = subprocess.Popen(cluster.command(words), cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    try:
        eventually(port_file.exists, timeout=60)
        yield Proxy(cluster, int(port_file.read_text()))
    finally:
        process.terminate()
        process.wait(timeout=20)
