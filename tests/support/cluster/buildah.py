"""Images without a Docker daemon: buildah with a storage of its own below the cache.

Each call runs in a mount namespace of its own, so that the mounts buildah leaves behind end with it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.cluster.cache import CACHE
from tests.support.cluster.machine import require_image_tools
from tests.support.cluster.progress import run_logged

STORAGE = CACHE / "buildah"
LOG = CACHE / "logs" / "buildah.log"


def call(*words: str | Path) -> None:
    """Run buildah."""
    require_image_tools()
    apart = ["unshare", "--mount", "--propagation=private"]
    storage = ["--root", STORAGE / "root", "--runroot", STORAGE / "run", "--storage-driver", "overlay"]
    run_logged([*apart, "buildah", *storage, *words], LOG)


def build(context: Path, dockerfile: Path, name: str, archive: Path, build_args: Mapping[str, str]) -> None:
    """Build an image as `docker build` would, from images this storage has, and write it to an archive.

    The archive is as `docker save` makes it: uncompressed, for it only travels to a node on this disk. The image itself
    does not stay in the storage. The chroot isolation, because the usual one fails on machines with both kinds of
    control groups.
    """
    made = archive.with_name("id")  # not by its name: another build of that name may run beside this one
    arguments = [f"--build-arg={key}={value}" for key, value in build_args.items()]
    options = ["--pull-never", "--isolation", "chroot", "--layers=false", "--squash=false"]
    call("bud", *options, *arguments, "--file", dockerfile, "--iidfile", made, context)
    image = made.read_text().removeprefix("sha256:")
    call("push", image, f"docker-archive:{archive}:{name}")
    call("rmi", image)
    made.unlink()


def pull(archive: Path) -> None:
    """Bring an archived image back into the storage, under its name."""
    call("pull", f"docker-archive:{archive}")


def from_files(files: Mapping[str, Path], name: str, archive: Path, entrypoint: str) -> None:
    """Make an image that holds nothing but some files of this machine, by their paths in the image."""
    with tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch)
        for inside, file in files.items():
            shutil.copy(file, context / inside)
        lines = ["FROM scratch", *(f"COPY {inside} /{inside}" for inside in files), f'ENTRYPOINT ["{entrypoint}"]']
        (context / "Dockerfile").write_text("\n".join(lines))
        build(context, context / "Dockerfile", name, archive, {})
