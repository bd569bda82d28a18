"""The stand-in for the chart's nginx image where there is no registry: the smallest Debian with its nginx."""

from __future__ import annotations

import hashlib
import platform
import shutil
from pathlib import Path

import yaml

from tests.support.cluster import buildah, debian
from tests.support.cluster.cache import Image, Part, ensure
from tests.support.cluster.machine import require_image_tools

ROOT = Path(__file__).parents[3]
PACKAGES = ("nginx",)
DOCKERFILE = "FROM scratch\nADD root.tar /\n"


def nginx_image() -> Image:
    """Return the image under the name that the chart has for it, after building it when it is missing."""
    values = yaml.safe_load((ROOT / "charts/kato-operator/values.yaml").read_text())["gateway"]["image"]
    name = f"{values['repository']}:{values['tag']}"
    recipe = repr((name, debian.SUITE, PACKAGES, DOCKERFILE, debian.LEFT_OUT, platform.machine()))
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]

    def build(target: Path) -> None:
        require_image_tools()
        context = target / "context"
        context.mkdir()
        debian.root_archive(context / "root.tar", PACKAGES)
        (context / "Dockerfile").write_text(DOCKERFILE)
        buildah.build(context, context / "Dockerfile", f"docker.io/library/{name}", target / "image.tar", {})
        shutil.rmtree(context)

    return Image(name, ensure(Part("nginx-image", key, build, 90)) / "image.tar", key)
