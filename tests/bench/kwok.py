"""A node of no machine: kwok says of every pod on it that it runs and is ready, and `side_door` answers for it.

Called by `operator`: a fleet of a thousand pods fits no test machine (cluster.md, "Scale without pods").
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench import side_door
from tests.support.cluster.local import LocalCluster
from tests.support.eventually import eventually

NODE = "fake"
LABEL = "kato.dev/fake"
SELECTOR = {LABEL: "true"}
# Addresses of pods that are not there: all of them lead back here.
POD_RANGE = "10.200.0.0/16"


@contextmanager
def fake_node(cluster: LocalCluster, kwok: Path) -> Iterator[None]:
    """Have a node on which any number of pods is ready as soon as they are scheduled to it by `SELECTOR`.

    `kwok` is its program: had before the cluster's network is entered, which leads to no one that it could come from.
    """
    cluster.run("ip", "route", "add", "local", POD_RANGE, "dev", "lo")
    metadata = {"name": NODE, "labels": SELECTOR}
    spec = {"podCIDR": POD_RANGE, "podCIDRs": [POD_RANGE]}
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec})
    # Without a lease the node is called away between two of its heartbeats, and its pods are not ready for ever after.
    lease = "--node-lease-duration-seconds=40"
    words = [str(kwok), f"--manage-single-node={NODE}", lease, f"--kubeconfig={cluster.kubeconfig}"]
    with ExitStack() as running:
        running.enter_context(_running(cluster, "kwok", words))
        running.enter_context(_running(cluster, "side-doors", [sys.executable, "-m", side_door.__name__]))
        eventually(lambda: _is_ready(cluster), timeout=60)
        yield


@contextmanager
def _running(cluster: LocalCluster, name: str, words: Sequence[str]) -> Iterator[None]:
    """Run a program within the cluster's network."""
    with cluster.at.log(name).open("wb") as log:
        process = subprocess.Popen(cluster.command(words), stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
        assert process.poll() is None, f"{name} has ended"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _is_ready(cluster: LocalCluster) -> bool:
    """Say whether the node is Ready."""
    status = json.loads(cluster.kubectl("get", f"node/{NODE}", "-o", "json"))["status"]
    return any(found["type"] == "Ready" and found["status"] == "True" for found in status.get("conditions", ()))
