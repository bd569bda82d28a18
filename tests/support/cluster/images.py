"""The project's images, built from its own Dockerfiles and kept by the hash of all that goes into them.

By Docker where a daemon answers, else by buildah on the stand-in of `debian.py`. The wheels are made outside, so the
build itself needs no network, no index and no compiler.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.cluster import buildah, debian, kind
from tests.support.cluster.cache import CACHE, Image, Part, ensure, keep_latest
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.progress import run_logged

ROOT = Path(__file__).parents[3]
SOURCES = ("crds", "operator", "service")
INPUTS = ("pyproject.toml", "README.md", *SOURCES)
NOT_SOURCES = ("__pycache__", "*.egg-info", "target", "*.pyc", "*.so")
PYTHON = (3, 11)  # of the base image
EXTRAS = ("service", "operator")
KEPT = 4  # results of each image that stay in the cache
# image -> its Dockerfile
DOCKERFILES = {"kato-service": "service/Dockerfile", "kato-operator": "operator/Dockerfile"}
WITH_CARGO = ROOT / "service" / "kato_matcher" / "with-cargo"
MATCHER = re.compile(r"kato_service/engine/_matcher\.\S*so")
LOG = CACHE / "logs" / "images.log"


def project_images() -> list[Image]:
    """Return the images of the service and the operator, after building those that have changed."""
    if sys.version_info[:2] != PYTHON:
        raise ClusterError(f"images need wheels for Python {'.'.join(map(str, PYTHON))}: run the tests with that one")
    wheels = [dependency_wheels(), own_wheel()]
    return [image(name, ROOT / dockerfile, wheels) for name, dockerfile in DOCKERFILES.items()]


def image(name: str, dockerfile: Path, wheels: list[Path]) -> Image:
    """Return one image of the project."""
    tag = f"{name}:{project()['version']}"
    builder = docker_build if kind.docker_answers() else buildah_build
    key = digest([builder.__name__, tag, dockerfile.read_text(), debian.RECIPE, *(path.name for path in wheels)])

    def build(target: Path) -> None:
        context = target / "context"
        (context / "wheels").mkdir(parents=True)
        for wheel in (wheel for directory in wheels for wheel in directory.glob("*.whl")):
            shutil.copy(wheel, context / "wheels")
        builder(context, dockerfile, tag, target / "image.tar")
        shutil.rmtree(context)

    made = ensure(Part(name, key, build, 40))
    keep_latest(made, KEPT)
    return Image(tag, made / "image.tar", key)


def buildah_build(context: Path, dockerfile: Path, tag: str, archive: Path) -> None:
    """Build without Docker, on the stand-in base."""
    base = debian.base_image(platform.machine())
    buildah.pull(base)
    buildah.build(context, dockerfile, f"docker.io/library/{tag}", archive, build_args())


def docker_build(context: Path, dockerfile: Path, tag: str, archive: Path) -> None:
    """Build with Docker, on the official base."""
    arguments = [f"--build-arg={key}={value}" for key, value in build_args().items()]
    run_logged(["docker", "build", *arguments, "--file", dockerfile, "--tag", tag, context], LOG)
    run_logged(["docker", "save", "--output", archive, tag], LOG)


def build_args() -> dict[str, str]:
    """Return what the Dockerfiles are told: the version of their label."""
    return {"VERSION": str(project()["version"])}


def project() -> dict[str, Any]:
    """Return the project's own description."""
    described: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return described


def requirements() -> list[str]:
    """Return what the images need beside the project itself."""
    table = project()
    return sorted(
        [*table["dependencies"], *(line for extra in EXTRAS for line in table["optional-dependencies"][extra])]
    )


def dependency_wheels() -> Path:
    """Return a directory with the wheels of all requirements, made anew when the list of them changes."""
    listed = requirements()

    def build(target: Path) -> None:
        pip_wheel(target, *listed)

    return ensure(Part("wheels", digest([sys.version, platform.machine(), *listed]), build, 30))


def own_wheel() -> Path:
    """Return a directory with the project's own wheel, made anew when one of its sources changes."""

    def build(target: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / "source"
            source.mkdir()
            for name in INPUTS:
                copy(ROOT / name, source / name)
            pip_wheel(target, "--no-deps", str(source))
        check_matcher(target)

    made = ensure(Part("own-wheel", digest(contents()), build, 10))
    keep_latest(made, KEPT)
    return made


def check_matcher(target: Path) -> None:
    """See that the wheel in a directory holds the fast matcher: without a compiler it is built without one."""
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        if not any(MATCHER.fullmatch(name) for name in files.namelist()):
            raise ClusterError(f"{wheel.name} was built without the fast matcher; {LOG} says why")


def copy(path: Path, target: Path) -> None:
    """Copy a file or a directory of sources."""
    if path.is_dir():
        shutil.copytree(path, target, ignore=shutil.ignore_patterns(*NOT_SOURCES))
    elif path.exists():
        shutil.copy(path, target)


def contents() -> Iterable[str]:
    """Yield the name and the hash of every file that goes into the project's wheel."""
    ignored = shutil.ignore_patterns(*NOT_SOURCES)
    for name in INPUTS:
        top = ROOT / name
        files = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.is_file())
        for file in files:
            parts = file.relative_to(ROOT).parts
            if not ignored("", list(parts)):
                yield f"{'/'.join(parts)} {hashlib.sha256(file.read_bytes()).hexdigest()}"


def pip_wheel(target: Path, *words: str) -> None:
    """Have pip make wheels in a directory."""
    run_logged(
        [WITH_CARGO, "--install", sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", target, *words], LOG
    )


def digest(words: Iterable[str]) -> str:
    """Return a short hash of some text."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
