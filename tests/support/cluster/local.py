"""A real single-node Kubernetes on this machine, in a box of its own (cluster.md): found again, used and ended.

`start.py` raises it; `find.py` gives it out when neither a named cluster nor kind is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tests.support.cluster import node, parts, runs
from tests.support.cluster.box import Box, find_box, reap
from tests.support.cluster.cache import Image
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.control import AUDIT_LOG
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.runs import Run

LIBRARY = "docker.io/library"  # what a name without a registry stands in
CONTENT = "kato.dev/content"  # the label that tells which archive an image came from


class LocalCluster(Cluster):
    """The node in a box, raised by this process or found running."""

    def __init__(self, at: Run, box: Box) -> None:
        super().__init__(at.name, at.kubeconfig, parts.tools())
        self.at = at
        self.box = box

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` in the box's network, where names are those of its services."""
        return self.box.visiting(super().command(argv), self.at.path / "resolv.conf")

    def environment(self) -> dict[str, str]:
        """See the class above; clusters of one address do not share what kubectl keeps of the kinds that they serve."""
        return super().environment() | {"KUBECACHEDIR": str(self.at.path / "kubectl")}

    def entered(self) -> AbstractContextManager[None]:
        """Move the calling thread into the box's network."""
        return self.box.entered()

    def load(self, image: Image) -> None:
        """Import an image into containerd, unless one of the same content is there."""
        if self.ctr("images", "list", "--quiet", f'labels."{CONTENT}"=={image.key}').strip():
            return
        self.forget(image.name)
        for line in self.ctr("images", "import", str(image.path), timeout=600).splitlines():
            if line.startswith("unpacking "):
                self.ctr("images", "label", line.split()[1], f"{CONTENT}={image.key}")

    def forget(self, name: str) -> None:
        """Remove what an image's name meant so far, by all its references, so that the store does not only grow."""
        listed = [line.split() for line in self.ctr("images", "list").splitlines()[1:]]
        digests = {digest for reference, _, digest, *_ in listed if reference in (name, f"{LIBRARY}/{name}")}
        if old := [reference for reference, _, digest, *_ in listed if digest in digests]:
            self.ctr("images", "remove", *old)

    def audit(self) -> Iterator[dict[str, Any]]:
        """Yield the API server's audit log so far, one event per finished request (audit.k8s.io/v1)."""
        with (self.at.path / AUDIT_LOG).open() as log:
            for line in log:
                if line.endswith("\n"):  # the last one may be half written
                    yield json.loads(line)

    def kill(self, container: str) -> None:
        """End the first process of a container by SIGKILL, behind the kubelet's back; `container` is its ID."""
        self.ctr("tasks", "kill", "--signal", "SIGKILL", container)

    def ctr(self, *words: str, timeout: float = 120) -> str:
        """Run containerd's command line on the images and containers of Kubernetes."""
        address = str(node.socket(self.at.path))
        return self.run("ctr", "--address", address, "--namespace", "k8s.io", *words, timeout=timeout)

    def down(self) -> None:
        """End the cluster: processes, mounts, networks, control groups and files."""
        runs.end(self.at)
        reap(self.box)


def attach(run: Run) -> LocalCluster:
    """Return a local cluster that is already running; ClusterError when it ended without being taken down."""
    box = find_box(run.path)
    if box is None:
        raise ClusterError(f"cluster {run.name} does not run any more: end it with `make cluster-down`")
    return LocalCluster(run, box)
