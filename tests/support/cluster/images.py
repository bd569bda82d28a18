"""The project's images, built from its own Dockerfiles and kept by the hash of all that goes into them.

By Docker where a daemon answers, else by buildah on the stand-in of `debian.py`. The wheels are made outside, so the
build itself needs no network, no index and no compiler.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import platform
import re
import shutil
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.support.cluster import buildah, debian, kind
from tests.support.cluster.cache import CACHE, Image, Part, ensure, keep_latest
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.progress import run_logged

ROOT = Path(__file__).parents[3]
SOURCES = ("crds", "operator", "service")
CRATE = "service/kato_matcher"
INPUTS = ("pyproject.toml", "README.md", *SOURCES)
NOT_SOURCES = ("__pycache__", "*.egg-info", "target", "*.pyc", "*.so")
PYTHON = (3, 11)  # of the base image
EXTRAS = ("service", "operator")
STAND_IN = ("async-timeout>=4.0.3,<6",)  # redis asks for it on the 3.11.2 of the stand-in; pip goes by its own Python
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
    with ThreadPoolExecutor() as pool:  # each build waits for one program after the other
        return list(pool.map(lambda name: image(name, ROOT / DOCKERFILES[name], wheels), DOCKERFILES))


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
        [
            *table["dependencies"],
            *(line for extra in EXTRAS for line in table["optional-dependencies"][extra]),
            *STAND_IN,
        ]
    )


def dependency_wheels() -> Path:
    """Return a directory with the wheels of all requirements, made anew when the list of them changes."""
    listed = requirements()

    def build(target: Path) -> None:
        pip_wheel(target, *listed)

    return ensure(Part("wheels", digest([sys.version, platform.machine(), *listed]), build, 30))


def own_wheel() -> Path:
    """Return a directory with the project's own wheel, made anew when one of its sources changes.

    It is built where the same crate was built before, whose files are left as they are: so cargo, which goes by paths
    and times, compiles the fast matcher once for all wheels with the same crate.
    """

    def build(target: Path) -> None:
        with FileLock(bench.with_suffix(".busy")):
            source = bench / "source"
            source.mkdir(exist_ok=True)
            clear(source, keep=CRATE)
            for name in INPUTS:
                copy(ROOT / name, source / name)
            pip_wheel(target, "--no-deps", str(source), CARGO_TARGET_DIR=str(bench / "target"))
        check_matcher(target)

    bench = ensure(Part("crate", digest(contents((CRATE,))), lambda _: None))
    keep_latest(bench, KEPT)
    made = ensure(Part("own-wheel", digest(contents()), build, 10))
    keep_latest(made, KEPT)
    return made


def check_matcher(target: Path) -> None:
    """See that the wheel in a directory holds the fast matcher: without a compiler it is built without one."""
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        if not any(MATCHER.fullmatch(name) for name in files.namelist()):
            raise ClusterError(f"{wheel.name} was built without the fast matcher; {LOG} says why")


def clear(source: Path, keep: str) -> None:
    """Empty a directory but for one below it."""
    kept = source / keep
    for path in [*source.glob("*"), *kept.parent.glob("*")]:
        if path == kept or kept.is_relative_to(path):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def copy(path: Path, target: Path) -> None:
    """Copy a file or a directory of sources, times and all; what is there already stays."""
    if path.is_dir():
        ignored = shutil.ignore_patterns(*NOT_SOURCES)
        shutil.copytree(path, target, ignore=ignored, copy_function=copy_file, dirs_exist_ok=True)
    elif path.exists():
        copy_file(path, target)


def copy_file(path: str | Path, target: str | Path) -> None:
    """Copy a file unless one of the same content is there, whose time must not change."""
    if not (Path(target).exists() and filecmp.cmp(path, target, shallow=False)):
        shutil.copy2(path, target)


def contents(names: Iterable[str] = INPUTS) -> Iterable[str]:
    """Yield the name and the hash of every source file below some names: by default all that goes into the wheel."""
    ignored = shutil.ignore_patterns(*NOT_SOURCES)
    for name in names:
        top = ROOT / name
        files = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.is_file())
        for file in files:
            parts = file.relative_to(ROOT).parts
            if not ignored("", list(parts)):
                yield f"{'/'.join(parts)} {hashlib.sha256(file.read_bytes()).hexdigest()}"


def pip_wheel(target: Path, *words: str, **environment: str) -> None:
    """Have pip make wheels in a directory."""
    argv = [WITH_CARGO, "--install", sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", target, *words]
    run_logged(argv, LOG, env=os.environ | environment)


def digest(words: Iterable[str]) -> str:
    """Return a short hash of some text."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
