"""kind, where it and a Docker daemon are there: how the harness calls it. Used by `find.py`, `runs.py`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.cluster.errors import ClusterError

NODE_IMAGE = "kindest/node"


def usable() -> bool:
    """Say whether `kind create cluster` can work: both programs, a daemon that answers, a node image to be had."""
    if shutil.which("kind") is None or not docker_answers():
        return False
    images = subprocess.run(["docker", "images", "--quiet", NODE_IMAGE], capture_output=True, text=True, check=False)
    if images.stdout.strip():
        return True
    found = subprocess.run(["docker", "manifest", "inspect", f"{NODE_IMAGE}:latest"], capture_output=True, check=False)
    return found.returncode == 0


def docker_answers() -> bool:
    """Say whether there is a Docker daemon, not only its command line."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def create(name: str, kubeconfig: Path) -> None:
    """Make a kind cluster and write its kubeconfig."""
    call("create", "cluster", "--name", f"kato-{name}", "--kubeconfig", str(kubeconfig), "--wait", "120s")


def load(name: str, archive: Path) -> None:
    """Bring an image archive into the nodes of a kind cluster."""
    call("load", "image-archive", str(archive), "--name", f"kato-{name}")


def delete(name: str) -> None:
    """Remove a kind cluster; one that is not there is no error."""
    call("delete", "cluster", "--name", f"kato-{name}")


def call(*words: str) -> None:
    """Run kind; ClusterError with its last words when it fails."""
    done = subprocess.run(["kind", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`kind {' '.join(words[:2])}` failed: {done.stderr.strip()}")
