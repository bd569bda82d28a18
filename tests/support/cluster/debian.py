"""The stand-in for `python:3.11-slim` where there is no registry: Debian 12 by debootstrap, with its Python 3.11."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.support.cluster import buildah
from tests.support.cluster.cache import CACHE, Part, ensure
from tests.support.cluster.machine import require_image_tools
from tests.support.cluster.progress import run_logged

BASE = "docker.io/library/python:3.11-slim"
SUITE = "bookworm"  # the Debian release whose Python is 3.11
PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
DOCKERFILE = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["python3"]
"""
RECIPE = hashlib.sha256(repr((SUITE, PACKAGES, LEFT_OUT, DOCKERFILE)).encode()).hexdigest()[:12]
LOG = CACHE / "logs" / "base-image.log"


def base_image(platform: str) -> Path:
    """Return the archive of the stand-in, after building it when it is missing."""
    return ensure(Part("base-image", f"{SUITE}-{RECIPE}-{platform}", build, 90)) / "image.tar"


def build(target: Path) -> None:
    """Build the stand-in: a small Debian without what only serves people, under the official image's name."""
    require_image_tools()
    context = target / "context"
    context.mkdir()
    root_archive(context / "root.tar", PACKAGES)
    (context / "Dockerfile").write_text(DOCKERFILE)
    buildah.build(context, context / "Dockerfile", BASE, target / "image.tar", {})
    shutil.rmtree(context)


def root_archive(archive: Path, packages: Sequence[str]) -> None:
    """Write an archive of the smallest Debian that has some packages, without what only serves people."""
    root = archive.with_name("root")
    root.mkdir()
    bootstrap(root, packages)
    for path in LEFT_OUT:
        shutil.rmtree(root / path)
        (root / path).mkdir()
    if (root / "usr/bin/python3").exists():
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")  # where the official image has it
    run_logged(["tar", "--create", "--file", archive, "--directory", root, "."], LOG)
    shutil.rmtree(root)


def bootstrap(root: Path, packages: Sequence[str]) -> None:
    """Fill a directory with the smallest Debian that has the packages; its mounts end with the command."""
    apart = ["unshare", "--mount", "--propagation=private"]
    run_logged([*apart, "debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, root], LOG)
