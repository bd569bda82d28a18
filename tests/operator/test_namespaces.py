"""Named namespaces: one that is deleted, and the operator's Role with it, holds up no other, and may come back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.support.cluster.cluster import Cluster
from tests.support.cluster.pods import restricted_namespace
from tests.support.eventually import eventually
from tests.support.operator.faulty import Proxy
from tests.support.operator.process import OperatorProcess, grant, leading
from tests.support.operator.space import PATIENCE, Space

# Nothing of ours holds it: with `Delete`, and without our Role, it would wait for ever (docs/install.md).
KEPT = {"storage": {"embedded": {"size": "1Gi"}}, "suspend": True, "deletionPolicy": "Retain"}


@pytest.fixture(scope="module")
def other(cluster: Cluster, home: str, delete_namespace: Callable[[str], None]) -> Iterator[Space]:
    """A second namespace in which the operator has its rights."""
    name = f"op-{os.urandom(4).hex()}"
    make(cluster, name, home)
    yield Space(cluster, name)
    delete_namespace(name)


def make(cluster: Cluster, name: str, home: str) -> None:
    cluster.apply(restricted_namespace(name))
    grant(cluster, name, home)


@pytest.fixture(scope="module")
def operator(
    cluster: Cluster, home: str, other: Space, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    directory = tmp_path_factory.mktemp("operator")
    process = OperatorProcess(cluster, [home, other.namespace], directory, server=proxy.url, resync_seconds=5)
    with leading(process, timeout=30):
        yield process


def is_looked_after(space: Space, name: str) -> None:
    """A change of a processor there is answered."""
    space.processor(name, **KEPT, displayName=f"{os.urandom(4).hex()}")
    generation = space.get(f"kproc/{name}")["metadata"]["generation"]
    eventually(
        lambda: space.get(f"kproc/{name}").get("status", {}).get("observedGeneration") == generation, timeout=PATIENCE
    )


def test_a_namespace_that_is_deleted_ends_and_holds_up_no_other(
    space: Space, other: Space, operator: OperatorProcess, proxy: Proxy
) -> None:
    for place in (space, other):
        is_looked_after(place, "kept")
    space.cluster.kubectl("delete", "namespace", other.namespace, "--timeout=90s")
    is_looked_after(space, "kept")
    proxy.harm(watches="cut")
    proxy.harm()
    is_looked_after(space, "kept")
    assert operator.leads
    operator.stop()
    operator.start()
    is_looked_after(space, "kept")


def test_a_namespace_that_comes_back_is_watched_again(space: Space, other: Space, operator: OperatorProcess) -> None:
    make(space.cluster, other.namespace, space.namespace)
    is_looked_after(other, "again")
    assert operator.leads
