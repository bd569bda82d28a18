"""The project's images: restricted, without build tools, labelled, and not built or loaded twice."""

from __future__ import annotations

import json
import tarfile
from typing import Any

import pytest

from tests.support.cluster import images
from tests.support.cluster.cache import Image
from tests.support.cluster.cluster import Cluster, CommandFailed
from tests.support.cluster.local import CONTENT, LocalCluster
from tests.support.cluster.pods import pod, service
from tests.support.eventually import eventually

BUILD_TOOLS = ("cc", "gcc", "g++", "clang", "make", "ld", "cargo", "rustc", "go", "git")
WAIT = ["python3", "-c", "import signal; signal.pause()"]


def config_of(image: Image) -> dict[str, Any]:
    """Return an image's configuration from its archive."""
    with tarfile.open(image.path) as archive:

        def read(name: str) -> Any:  # noqa: ANN401 - whatever JSON is there
            member = archive.extractfile(name)
            assert member is not None
            return json.load(member)

        config: dict[str, Any] = read(read("manifest.json")[0]["Config"])["config"]
        return config


@pytest.mark.parametrize("name", images.DOCKERFILES)
def test_an_image_says_what_it_is_and_who_runs_it(project_images: list[Image], name: str) -> None:
    image = next(image for image in project_images if image.name.startswith(f"{name}:"))
    config = config_of(image)
    assert config["User"] == "10001:10001"
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == name
    assert labels["version"] == images.project()["version"]
    assert labels["description"]


@pytest.mark.parametrize("name", images.DOCKERFILES)
def test_an_image_runs_restricted_and_holds_no_build_tools(
    cluster: Cluster, namespace: str, project_images: list[Image], name: str
) -> None:
    image = next(image for image in project_images if image.name.startswith(f"{name}:"))
    cluster.apply(pod(namespace, "p", image.name, WAIT))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/p", "--timeout=100s")
    script = f"import shutil; print([tool for tool in {BUILD_TOOLS!r} if shutil.which(tool)])"
    assert cluster.kubectl("-n", namespace, "exec", "p", "--", "python", "-c", script).strip() == "[]"
    with pytest.raises(CommandFailed, match="No module named pip"):
        cluster.kubectl("-n", namespace, "exec", "p", "--", "python", "-m", "pip", "--version")
    with pytest.raises(CommandFailed, match="Read-only file system"):
        cluster.kubectl("-n", namespace, "exec", "p", "--", "touch", "/opt/kato/file")
    (program,) = config_of(image)["Entrypoint"]
    version = images.project()["version"]
    assert version in cluster.kubectl("-n", namespace, "exec", "p", "--", program, "--version")


def test_the_services_image_serves(cluster: Cluster, namespace: str, project_images: list[Image]) -> None:
    server = pod(namespace, "server", project_images[0].name, [])
    del server["spec"]["containers"][0]["command"]  # what the image itself runs
    cluster.apply(server, service(namespace, "server", 8000), pod(namespace, "client", project_images[0].name, WAIT))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/client", "--timeout=100s")
    ping = "import urllib.request; print(urllib.request.urlopen('http://server:8000/ping').read().decode())"

    def answer() -> str:
        try:
            return cluster.kubectl("-n", namespace, "exec", "client", "--", "python", "-c", ping)
        except CommandFailed:  # it is still starting
            return ""

    assert json.loads(eventually(answer, timeout=90, interval=0.5))["status"] == "okay"


def test_an_image_that_has_not_changed_is_neither_built_nor_loaded_again(
    local_cluster: LocalCluster, project_images: list[Image]
) -> None:
    made = [image.path.stat().st_mtime_ns for image in project_images]
    again = images.project_images()
    assert again == project_images
    assert [image.path.stat().st_mtime_ns for image in again] == made
    before = local_cluster.ctr("images", "list")
    for image in again:
        assert f"{CONTENT}={image.key}" in before
        local_cluster.load(image)
    assert local_cluster.ctr("images", "list") == before


def test_every_source_counts_in_the_key_of_the_wheel() -> None:
    listed = {line.split()[0] for line in images.contents()}
    assert {"pyproject.toml", "crds/kato_spec/keys.py", "service/kato_service/app.py"} <= listed
    assert not [path for path in listed if "__pycache__" in path]
