"""The operator as a real process on the cluster: started, watched by its metrics, stopped, killed.

Called by tests/operator. It runs under a service account that may do what `kato_operator.cluster.rules` says, and
nothing else, so that every test is also one of the rules.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from kato_operator.cluster.rules import BINDING_RULES, LEASE_RULES, RULES
from tests.support import http
from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually

ACCOUNT = "kato-operator"
PROGRAM = [sys.executable, "-c", "from kato_operator.main import main; main()"]


def grant(cluster: Cluster, namespace: str, home: str | None = None) -> None:
    """Give the operator its rights in `namespace`; make its service account there, unless that is in its `home`."""
    rules = [rule.manifest() for rule in (*RULES, *BINDING_RULES, *LEASE_RULES)]
    metadata = {"name": ACCOUNT, "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": namespace}, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": namespace},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": home or namespace}],
        },
    )


def revoke(cluster: Cluster, namespace: str) -> None:
    """Take the operator's rights in `namespace` away, and its finalizers off what a failed test left there."""
    for kind in ("kproc", "rolebinding"):
        for held in cluster.kubectl("get", kind, "--namespace", namespace, "-o", "name").split():
            patch = '{"metadata":{"finalizers":null}}'
            cluster.kubectl("patch", held, "--namespace", namespace, "--type=merge", "--patch", patch)
    cluster.kubectl("delete", "clusterrole", namespace)


def new_token(cluster: Cluster, namespace: str) -> str:
    """Return a token of the operator's service account."""
    return cluster.kubectl("create", "token", ACCOUNT, "--namespace", namespace, "--duration", "1h").strip()


def kubeconfig(cluster: Cluster, token: str, path: Path, server: str | None) -> Path:
    """Write a kubeconfig for the bearer of a token; `server` stands in for the API server's own address."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    if server is not None:
        config["clusters"] = [{"name": entry["name"], "cluster": {"server": server}} for entry in config["clusters"]]
    path.write_text(json.dumps(config, indent=2))
    return path


@contextmanager
def leading(process: OperatorProcess, *, timeout: float = 60) -> Iterator[OperatorProcess]:
    """Run a replica that leads within `timeout` seconds; pytest shows its log when a test fails."""
    process.start()
    try:
        eventually(lambda: process.leads, timeout=timeout)
        yield process
    finally:
        process.stop()
        print(process.log.read_text())  # noqa: T201 - captured, and shown with a failure


class OperatorProcess:
    """One replica: `namespaces` are those it watches, the first one holds its Lease; `logs` is where it writes.

    `token` is what the API server knows it by, and `server` the way to it where that is not the cluster's own.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespaces: Sequence[str],
        directory: Path,
        *,
        server: str | None = None,
        **settings: object,
    ) -> None:
        self._cluster = cluster
        self.token = new_token(cluster, namespaces[0])
        self._config = kubeconfig(cluster, self.token, directory / "kubeconfig", server)
        self.log = directory / "operator.log"
        self._begun = 0  # where in the log this start's lines begin, in bytes
        values: dict[str, object] = {
            "namespace": namespaces[0],
            "watch_namespaces": ",".join(namespaces),
            "role_binding": ACCOUNT,
            "host": "127.0.0.1",
            "port": 0,
            "lease_seconds": 30,
            **settings,
        }
        self._settings: dict[str, object] = values
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, **settings: object) -> None:
        """Have other settings from the next start on."""
        self._settings |= settings

    def start(self) -> None:
        """Start it and wait until it serves its metrics; it writes on where the one before it ended."""
        self._begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command("run"), stdout=log, stderr=subprocess.STDOUT)
        eventually(self._port, timeout=60)

    def run_to_end(self, command: str) -> None:
        """Run another command of the program, with the same rights and settings."""
        subprocess.run(self._command(command), check=True, timeout=180)

    def _command(self, command: str) -> list[str]:
        settings = [f"KATO_OPERATOR_{name.upper()}={value}" for name, value in self._settings.items()]
        return self._cluster.command(["env", f"KUBECONFIG={self._config}", *settings, *PROGRAM, command])

    @property
    def pid(self) -> int:
        """The process's ID."""
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def _port(self) -> int | None:
        assert self._process is not None
        written = self.log.read_bytes()[self._begun :].decode(errors="replace")
        assert self._process.poll() is None, written
        found = re.search(r'"port": (\d+)', written)
        return int(found[1]) if found else None

    def ask(self, path: str) -> httpx.Response:
        """Return what it answers on its own port."""
        with self._cluster.entered():
            return http.get(f"http://127.0.0.1:{self._port()}{path}")

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over the series that have `labels`; 0 when there is none."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for series, value in self.series(name).items() if all(label in series for label in wanted))

    def series(self, name: str) -> dict[str, float]:
        """Return the value of each series of a metric."""
        lines = [line for line in self.ask("/metrics").text.splitlines() if re.match(rf"{name}[{{ ]", line)]
        return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines)}

    @property
    def leads(self) -> bool:
        """Whether it holds the Lease."""
        return self.ask("/readyz").text == "leader"

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        assert self._process is not None
        return self._process.wait(timeout=30)

    def stop(self) -> int:
        """End it in order, or at once if it does not end."""
        if self._process is None or self._process.poll() is not None:
            return 0 if self._process is None else int(self._process.returncode)
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
