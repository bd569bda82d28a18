"""Named namespaces: one that is deleted, and the operator's rights with it, holds up no other, and may come back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.support.cluster.cluster import Cluster
from tests.support.cluster.pods import open_namespace
from tests.support.eventually import eventually
from tests.support.operator.faulty import Proxy
from tests.support.operator.process import OperatorProcess, grant, leading, revoke
from tests.support.operator.space import PATIENCE, Space

KEPT = {"storage": {"embedded": {"size": "1Gi"}}, "suspend": True, "deletionPolicy": "Retain"}
DELETED = {**KEPT, "deletionPolicy": "Delete"}


@pytest.fixture(scope="module")
def other(cluster: Cluster, home: str, delete_namespace: Callable[[str], None]) -> Iterator[Space]:
    """A second namespace in which the operator has its rights."""
    name = f"op-{os.urandom(4).hex()}"
    make(cluster, name, home)
    yield Space(cluster, name)
    revoke(cluster, name)
    delete_namespace(name)


def make(cluster: Cluster, name: str, home: str) -> None:
    open_namespace(cluster, name)
    grant(cluster, name, home)


@pytest.fixture(scope="module")
def operator(
    cluster: Cluster, home: str, other: Space, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    directory = tmp_path_factory.mktemp("operator")
    process = OperatorProcess(cluster, [home, other.namespace], directory, server=proxy.url, resync_seconds=5)
    with leading(process, timeout=30):
        yield process


def is_looked_after(space: Space, name: str, spec: Mapping[str, object] = KEPT) -> None:
    """A change of a processor there is answered."""
    space.processor(name, **spec, displayName=f"{os.urandom(4).hex()}")
    generation = space.get(f"kproc/{name}")["metadata"]["generation"]
    eventually(
        lambda: space.get(f"kproc/{name}").get("status", {}).get("observedGeneration") == generation, timeout=PATIENCE
    )


def test_a_namespace_that_is_deleted_ends_and_holds_up_no_other(
    space: Space, other: Space, operator: OperatorProcess, proxy: Proxy
) -> None:
    for place in (space, other):
        is_looked_after(place, "kept")
    for name in ("first", "second"):
        is_looked_after(other, name, DELETED)
    volumes = other.kubectl("get", "pvc", "-o", "name").split()
    assert len(volumes) == 3
    space.cluster.kubectl("delete", "namespace", other.namespace, "--timeout=280s", timeout=300)
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


def test_the_operator_s_rights_are_kept_for_as_long_as_memory_waits_for_its_removal(
    space: Space, other: Space, operator: OperatorProcess
) -> None:
    def is_kept(wanted: bool) -> None:
        eventually(
            lambda: ("finalizers" in other.get("rolebinding/kato-operator")["metadata"]) is wanted, timeout=PATIENCE
        )

    is_kept(False)
    for name in ("first", "second"):
        is_looked_after(other, name, DELETED)
    is_kept(True)
    is_looked_after(other, "first")
    assert "finalizers" in other.get("rolebinding/kato-operator")["metadata"]
    other.kubectl("patch", "rolebinding/kato-operator", "--type=merge", "--patch", '{"metadata":{"finalizers":null}}')
    is_kept(True)  # seen by the next resync
    other.kubectl("delete", "kproc/second")
    is_kept(False)
    is_looked_after(other, "first", DELETED)
    is_kept(True)
    operator.run_to_end("release-finalizers")
    is_kept(False)
