"""What the cluster tests share: one cluster a session, the project's images on it, and a namespace for each test."""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Callable, Iterator
from types import FrameType

import pytest
from hypothesis import settings

from tests.support.cluster import find, images, neighbours
from tests.support.cluster.cache import Image
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.local import LocalCluster
from tests.support.cluster.pods import open_namespace

# Hypothesis without its deadline: a busy machine fails no property (house.md, no timed assertions).
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Let the programs that tests start be interrupted: a shell without job control has its children ignore SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtestloop(session: pytest.Session) -> None:
    """Build what is built once before any test's clock runs, where the progress can be seen."""
    if session.config.option.collectonly:
        return
    wanted = {name for item in session.items if isinstance(item, pytest.Function) for name in item.fixturenames}
    if "cluster" in wanted:
        find.prepare()
    if "project_images" in wanted:
        images.project_images()
    if "nginx_image" in wanted:
        neighbours.nginx_image()
    if "store_images" in wanted:
        neighbours.store_images()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded for people to read: what they measured, and what the operator was seen to need."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{report.nodeid}: {name}")
            terminalreporter.write_line(textwrap.indent(str(value), "  "))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of this session, ended with it also after Ctrl-C and SIGTERM."""
    before = signal.signal(signal.SIGTERM, terminated)
    raised = find.raise_cluster(f"test-{os.getpid()}")
    try:
        yield raised
    finally:
        raised.down()
        signal.signal(signal.SIGTERM, before)


def terminated(_number: int, _frame: FrameType | None) -> None:
    """End the session in order."""
    pytest.exit("terminated", returncode=128 + signal.SIGTERM)


@pytest.fixture(scope="session")
def local_cluster(cluster: Cluster) -> LocalCluster:
    """The session's cluster, for what only the local node can show."""
    assert isinstance(cluster, LocalCluster), "this test looks inside the local node: unset KATO_TEST_KUBECONFIG"
    return cluster


@pytest.fixture(scope="session")
def project_images(cluster: Cluster) -> list[Image]:
    """The project's images, built and on the cluster's node."""
    built = images.project_images()
    for image in built:
        cluster.load(image)
    return built


@pytest.fixture(scope="session")
def python_image(project_images: list[Image]) -> str:
    """An image with Python that is on the node: test pods run it."""
    return project_images[0].name


@pytest.fixture
def network(cluster: Cluster) -> Iterator[None]:
    """Puts the test where pods and services can be reached by address."""
    with cluster.entered():
        yield


Delete = Callable[[str], None]


@pytest.fixture(scope="session")
def delete_namespace(cluster: Cluster) -> Iterator[Delete]:
    """Deletes a namespace and goes on; after the last test all of them must be gone, held up by nothing of ours."""
    leaving: list[str] = []

    def delete(name: str) -> None:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
        leaving.append(name)

    yield delete
    for name in leaving:
        cluster.kubectl("wait", "--for=delete", f"namespace/{name}", "--timeout=120s", timeout=130)


@pytest.fixture
def namespace(cluster: Cluster, delete_namespace: Delete) -> Iterator[str]:
    """A fresh namespace that enforces the restricted profile; it goes after the test."""
    name = f"t-{os.urandom(4).hex()}"
    open_namespace(cluster, name)
    yield name
    delete_namespace(name)
