"""The cluster with the operator on it, and namespaces to try it in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.release import ROOT, STORES, Release
from tests.e2e.space import Space, open_space
from tests.support.cluster import neighbours
from tests.support.cluster.cache import Image
from tests.support.cluster.cluster import Cluster
from tests.support.documents import typed


@pytest.fixture(scope="session")
def release(cluster: Cluster, project_images: list[Image]) -> Release:
    """The chart, installed; the operator is Ready."""
    release = Release(cluster)
    release.install()
    return release


@pytest.fixture(scope="module")
def space(
    release: Release,
    python_image: str,
    request: pytest.FixtureRequest,
    delete_namespace: Callable[[str], None],
) -> Iterator[Space]:
    """A namespace for one file of tests, with a client pod in it."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    opened = open_space(release.cluster, f"e2e-{name}", python_image)
    opened.start_client()
    yield opened
    delete_namespace(opened.name)


@pytest.fixture(scope="module")
def storage() -> str:
    """The storage that processors get which name none."""
    return "Embedded"


@pytest.fixture(scope="session")
def store_images(release: Release) -> None:
    """The images of the stores that the chart names, on the node."""
    for image in neighbours.store_images():
        release.cluster.load(image)


@pytest.fixture(scope="module")
def bundled(release: Release, store_images: None, space: Space) -> Iterator[Space]:
    """A namespace with a client, and the release with stores of its own, as the documentation says how to have them.

    Afterwards it is without them.
    """
    release.install("--set", "networkPolicy.enabled=true")
    (command,) = (line for line in typed((ROOT / "docs/install.md").read_text()) if "stores.bundled" in line)
    release.type(command)
    release.settle()
    yield space
    space.kubectl("delete", "kproc", "--all", "--timeout=100s")
    release.install()
    release.kubectl("delete", "pvc", "--selector", STORES, "--wait=false")  # they go when their pods have gone
