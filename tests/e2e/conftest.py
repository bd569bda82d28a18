"""The cluster with the operator on it, and namespaces to try it in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.release import Release
from tests.e2e.space import Space, open_space
from tests.support.cluster.cache import Image
from tests.support.cluster.cluster import Cluster


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
