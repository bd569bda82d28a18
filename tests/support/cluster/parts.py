"""The parts of a local node, by name: built or fetched at first use, found in the cache afterwards (cluster.md)."""

from __future__ import annotations

import hashlib
import platform
import shutil
from functools import cache
from pathlib import Path

from tests.support.cluster import buildah, golang
from tests.support.cluster.cache import Image, Part, ensure
from tests.support.cluster.node import PAUSE_IMAGE

COREDNS = "1.12.4"
KUBE_SCORE = "1.20.0"
KWOK = "0.7.0"
HELM = "3.20.2"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
PLATFORM = MACHINES.get(platform.machine(), platform.machine())
PAUSE_KEY = f"{hashlib.sha256(golang.PAUSE.encode()).hexdigest()[:12]}-{PLATFORM}"


def table() -> dict[str, Part]:
    """Return every program that is built, in the order they are best built."""
    made = [golang.kubernetes(command, PLATFORM) for command in golang.COMMANDS]
    made += [
        golang.etcd(PLATFORM),
        golang.installed("coredns", "github.com/coredns/coredns", COREDNS, PLATFORM, 120),
        golang.installed("helm", "helm.sh/helm/v3/cmd/helm", HELM, PLATFORM, 120),
        golang.installed("kube-score", "github.com/zegl/kube-score/cmd/kube-score", KUBE_SCORE, PLATFORM, 60),
        golang.installed("kwok", "sigs.k8s.io/kwok/cmd/kwok", KWOK, PLATFORM, 120),
    ]
    return {part.name: part for part in made}


@cache
def program(name: str) -> Path:
    """Return where a program is, after building it when it is missing."""
    return ensure(table()[name]) / name


def programs() -> dict[str, Path]:
    """Return where each program of the node is, by name."""
    return {name: program(name) for name in (*golang.COMMANDS, "etcd", "coredns")}


def tools() -> list[Path]:
    """Return the directories of kubectl and helm."""
    return [program(name).parent for name in ("kubectl", "helm")]


def missing_tools() -> list[Path]:
    """Return the directories of those of kubectl and helm that are not on PATH: a foreign cluster needs no more."""
    return [program(name).parent for name in ("kubectl", "helm") if shutil.which(name) is None]


def pause() -> Path:
    """Return the pause program."""
    return ensure(golang.pause(PAUSE_KEY)) / "pause"


def pause_image() -> Image:
    """Return the image every pod's sandbox runs."""

    def build(target: Path) -> None:
        buildah.from_files({"pause": pause()}, PAUSE_IMAGE, target / "image.tar", entrypoint="/pause")

    return Image(PAUSE_IMAGE, ensure(Part("pause-image", PAUSE_KEY, build)) / "image.tar", PAUSE_KEY)
