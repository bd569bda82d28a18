"""The search order for a cluster (cluster.md): one the user names, then kind, then the local node.

Never the current context of kubectl: a test must not touch a cluster by accident. Tests come here by the fixtures of
`tests/cluster`, the Makefile by `python -m tests.support.cluster`.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.cluster import kind, local, machine, parts, runs, start
from tests.support.cluster.cache import Image
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.progress import say, timed
from tests.support.cluster.runs import KIND, Run

NAMED = "KATO_TEST_KUBECONFIG"


class NamedCluster(Cluster):
    """A cluster the user names. Nothing is raised or ended, and its images are the user's affair."""

    def load(self, image: Image) -> None:
        """Say that the image has to be there."""
        say(f"the cluster of {NAMED} must be able to pull {image.name}")

    def down(self) -> None:
        """Leave it as it is."""


class KindCluster(Cluster):
    """A cluster made by kind."""

    def __init__(self, at: Run) -> None:
        super().__init__(at.name, at.kubeconfig, parts.missing_tools())
        self.at = at

    def load(self, image: Image) -> None:
        """Load an image into kind's node, which knows by itself what is there."""
        kind.load(self.name, image.path)

    def down(self) -> None:
        """Delete the cluster."""
        runs.end(self.at)


def named() -> Path | None:
    """Return the kubeconfig the user names; ClusterError when there is no such file."""
    given = os.environ.get(NAMED)
    if not given:
        return None
    path = Path(given).absolute()
    if not path.is_file():
        raise ClusterError(f"{NAMED} names {path}, which is no file")
    return path


def prepare() -> None:
    """Build whatever the first step of the search order that applies will need."""
    if _is_local():
        machine.require_node()
        parts.programs()
        parts.tools()
        parts.pause_image()


def require() -> None:
    """See that a cluster can be raised here, before anything is touched; ClusterError says what is missing."""
    if _is_local():
        machine.require_node()


def _is_local() -> bool:
    """Say whether the search order leads to the local node."""
    return named() is None and not kind.usable()


def raise_cluster(name: str) -> Cluster:
    """Give out the first cluster of the search order. It belongs to this process, unless the user named it."""
    config = named()
    if config is not None:
        return NamedCluster(name, config, parts.missing_tools())
    if kind.usable():
        return raise_kind(name)
    return start.up(name)


def raise_kind(name: str) -> KindCluster:
    """Make a kind cluster; what fails takes it down again."""
    runs.sweep()
    with timed(f"cluster {name}: kind ready"):
        run = runs.create(name, KIND)
        try:
            kind.create(name, run.kubeconfig)
        except BaseException:
            runs.end(run)
            raise
    return KindCluster(run)


def attach(name: str) -> Cluster:
    """Return a cluster that is running: the named one, else the run of that name."""
    config = named()
    if config is not None:
        return NamedCluster(name, config, parts.missing_tools())
    run = runs.find(name)
    if run is None:
        raise ClusterError(f"there is no cluster {name}: raise it with `make cluster`")
    return KindCluster(run) if run.record().kind == KIND else local.attach(run)
