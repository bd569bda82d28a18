"""What the machine itself must have: root on Linux, and programs from Debian's packages, installed when missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from tests.support.cluster.cache import CACHE
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.progress import run_logged, say

# program -> the Debian package it comes from
NODE_PROGRAMS: Mapping[str, str] = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "openssl": "openssl",
}
IMAGE_PROGRAMS: Mapping[str, str] = {"buildah": "buildah", "debootstrap": "debootstrap"}
CNI_PACKAGE = "containernetworking-plugins"
CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # not always on PATH, even for root


def require_node() -> None:
    """Make sure that this machine can run a node, installing what is missing. ClusterError when it cannot."""
    require_root()
    missing = missing_packages(NODE_PROGRAMS)
    if not any((directory / "bridge").exists() for directory in CNI_DIRECTORIES):
        missing.append(CNI_PACKAGE)
    install(missing)


def require_image_tools() -> None:
    """Make sure that images can be built here without Docker, installing what is missing."""
    require_root()
    install(missing_packages(IMAGE_PROGRAMS))


def require_root() -> None:
    """Raise ClusterError unless this is root on Linux."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ClusterError(
            "cluster tests need a Kubernetes: name one by KATO_TEST_KUBECONFIG, or have kind and Docker, "
            "or run as root on Linux for a local node"
        )
    path = os.environ.get("PATH", os.defpath)
    if SBIN not in path:
        os.environ["PATH"] = os.pathsep.join([path, SBIN])


def cni_plugins() -> Path:
    """Return the directory of the CNI programs."""
    return next(directory for directory in CNI_DIRECTORIES if (directory / "bridge").exists())


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    """Return the packages of the programs that are not on PATH."""
    return sorted({package for program, package in programs.items() if shutil.which(program) is None})


def install(packages: list[str]) -> None:
    """Install Debian packages; ClusterError with their names where there is no apt-get."""
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(f"install what Debian calls {' '.join(packages)}: the local node needs it")
    say(f"installing {' '.join(packages)}")
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=600", "-qq"]
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    log = CACHE / "logs" / "apt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "apt.lock"):
        run_logged([*apt, "update"], log, env=quiet)
        run_logged([*apt, "install", "--yes", "--no-install-recommends", *packages], log, env=quiet)
