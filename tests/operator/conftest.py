"""The operator as a process on a real cluster with real pods, in a namespace of its own for each file of tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.support.cluster.cache import Image
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.pods import open_namespace
from tests.support.operator.crds import define
from tests.support.operator.faulty import Proxy, faulty
from tests.support.operator.process import OperatorProcess, grant, leading, revoke
from tests.support.operator.space import Space


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> None:
    """The definitions of both kinds."""
    define(cluster)


@pytest.fixture(scope="module")
def no_other_operator(cluster: Cluster) -> Iterator[None]:
    """Stops an operator that the chart may have installed: two of them would do each other's work."""
    selector = "app.kubernetes.io/name=kato-operator"
    found = cluster.get("deployments", "--all-namespaces", "--selector", selector)["items"]
    for item in found:
        scale(cluster, item, 0)
    yield
    for item in found:
        scale(cluster, item, item["spec"]["replicas"])


def scale(cluster: Cluster, deployment: dict[str, dict[str, str]], replicas: object) -> None:
    """Scale a Deployment and wait until its pods are there, or gone."""
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    cluster.kubectl("scale", f"deployment/{name}", "--namespace", namespace, f"--replicas={replicas}")
    cluster.kubectl("rollout", "status", f"deployment/{name}", "--namespace", namespace)


@pytest.fixture(scope="module")
def home(
    cluster: Cluster,
    crds: None,
    project_images: list[Image],
    no_other_operator: None,
    delete_namespace: Callable[[str], None],
) -> Iterator[str]:
    """A namespace in which the operator may do what it must."""
    name = f"op-{os.urandom(4).hex()}"
    open_namespace(cluster, name)
    grant(cluster, name)
    yield name
    revoke(cluster, name)
    delete_namespace(name)


@pytest.fixture(scope="module")
def operator(cluster: Cluster, home: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator of this file's namespace, leading."""
    process = OperatorProcess(cluster, [home], tmp_path_factory.mktemp("operator"), resync_seconds=5)
    with leading(process, timeout=30):
        yield process


@pytest.fixture(scope="module")
def proxy(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A way to the API server that can be harmed, for a file whose operator takes it."""
    with faulty(cluster, tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def space(cluster: Cluster, home: str, operator: OperatorProcess) -> Space:
    """The namespace as its user sees it, with the operator at work in it."""
    return Space(cluster, home)
