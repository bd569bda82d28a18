"""Stand-ins for the images that the chart takes from elsewhere, where there is no registry: small Debians.

Each has the name that the chart has for it and takes the chart's command line, so that the chart is tested as it
stands. `mongo` is what speaks MongoDB's protocol, behind a script by the name of mongod.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster import buildah, debian
from tests.support.cluster.cache import Image, Part, ensure
from tests.support.cluster.machine import require_image_tools
from tests.support.stores import mongo_server

ROOT = Path(__file__).parents[3]
DOCKERFILE = "FROM scratch\nADD root.tar /\n"
PATH = "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\n"
MONGOD = mongo_server.mongod_script("/opt/mongo", address="0.0.0.0", memory="-Xmx256m")  # noqa: S104 - of its pod alone
WITH_MONGOD = f"""\
{DOCKERFILE}{PATH}COPY mongo /opt/mongo
COPY --chmod=755 mongod /usr/local/bin/mongod
"""


@dataclass(frozen=True)
class Neighbour:
    """One image: where its name stands in the chart's values, and the Debian packages and steps that make it."""

    where: tuple[str, ...]
    packages: tuple[str, ...]
    dockerfile: str = DOCKERFILE + PATH

    @property
    def name(self) -> str:
        """The image's name in the chart, with its tag."""
        values: dict[str, Any] = yaml.safe_load((ROOT / "charts/kato-operator/values.yaml").read_text())
        for step in self.where:
            values = values[step]
        return f"{values['image']['repository']}:{values['image']['tag']}"


NGINX = Neighbour(("gateway",), ("nginx",), DOCKERFILE)
REDIS = Neighbour(("stores", "bundled", "redis"), ("redis-server",))
MONGO = Neighbour(("stores", "bundled", "mongodb"), ("default-jre-headless",), WITH_MONGOD)


def nginx_image() -> Image:
    """Return the image of the gateway, after building it when it is missing."""
    return image(NGINX)


def store_images() -> list[Image]:
    """Return the images of the bundled stores, after building those that are missing."""
    return [image(REDIS), image(MONGO)]


def image(neighbour: Neighbour) -> Image:
    """Return an image under the name that the chart has for it, after building it when it is missing."""
    name = neighbour.name
    repository = name.partition(":")[0].rpartition("/")[2]
    recipe = [name, debian.SUITE, neighbour.packages, neighbour.dockerfile, debian.LEFT_OUT, platform.machine()]
    if neighbour is MONGO:
        recipe += [MONGOD, mongo_server.recipe()]
    key = hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]

    def build(target: Path) -> None:
        require_image_tools()
        context = target / "context"
        context.mkdir()
        debian.root_archive(context / "root.tar", neighbour.packages)
        (context / "Dockerfile").write_text(neighbour.dockerfile)
        if neighbour is MONGO:
            shutil.copytree(mongo_server.protocol_server(), context / "mongo")
            (context / "mongod").write_text(MONGOD)
        buildah.build(context, context / "Dockerfile", f"docker.io/library/{name}", target / "image.tar", {})
        shutil.rmtree(context)

    return Image(name, ensure(Part(f"{repository}-image", key, build, 90)) / "image.tar", key)
