"""What a test asks of a cluster, whichever one it is: `find.py` gives one out, tests and the Makefile use it."""

from __future__ import annotations

import json
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support.cluster.cache import Image
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.reading import Reader

Manifest = Mapping[str, Any]


class CommandFailed(ClusterError):
    """A command on the cluster ended with an error; `code`, `stdout` and `stderr` are what it left."""

    def __init__(self, argv: Sequence[str], code: int, stdout: str, stderr: str) -> None:
        super().__init__(f"`{' '.join(argv)}` ended with {code}: {stderr.strip() or stdout.strip()}")
        self.code, self.stdout, self.stderr = code, stdout, stderr


class Cluster(ABC):
    """A Kubernetes the tests may do with as they like. `tools` are directories that go before PATH."""

    def __init__(self, name: str, kubeconfig: Path, tools: Sequence[Path] = ()) -> None:
        self.name = name
        self.kubeconfig = kubeconfig
        self.tools = tuple(tools)

    @abstractmethod
    def load(self, image: Image) -> None:
        """Bring an image onto the node, unless one of the same content is there."""

    @abstractmethod
    def down(self) -> None:
        """End the cluster with all it holds. A cluster that was here before the tests is left alone."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` where the cluster, its pods and its services can be reached."""
        return ["env", *(f"{key}={value}" for key, value in self.environment().items()), *argv]

    def entered(self) -> AbstractContextManager[None]:
        """Move the calling thread to where pods and services can be reached, if there is such a place."""
        return nullcontext()

    def environment(self) -> dict[str, str]:
        """Return what a command on the cluster has in its environment beside the caller's own."""
        path = os.pathsep.join([*map(str, self.tools), os.environ.get("PATH", os.defpath)])
        return {"KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def run(self, *argv: str, stdin: str = "", timeout: float = 120) -> str:
        """Run a command on the cluster and return what it printed; CommandFailed when it fails.

        `timeout` is in seconds; a command that takes longer is killed and raises ClusterError.
        """
        try:
            done = subprocess.run(
                self.command(argv), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"`{' '.join(argv)}` takes longer than {timeout} s") from error
        if done.returncode != 0:
            raise CommandFailed(argv, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def kubectl(self, *words: str, stdin: str = "", timeout: float = 120) -> str:
        """Run kubectl as the administrator."""
        return self.run("kubectl", *words, stdin=stdin, timeout=timeout)

    def helm(self, *words: str, timeout: float = 300) -> str:
        """Run helm as the administrator."""
        return self.run("helm", *words, timeout=timeout)

    @cached_property
    def objects(self) -> Reader:
        """What is there, for whoever looks again and again."""
        return Reader(self.kubeconfig, self.entered)

    def get(self, *words: str) -> dict[str, Any]:
        """Return what `kubectl get WORDS -o json` prints, as Python values."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def apply(self, *manifests: Manifest) -> None:
        """Apply manifests as a user would with `kubectl apply -f -`."""
        items = [dict(manifest) for manifest in manifests]
        # JSON, since kubectl takes a plain YAML scalar such as 870737e6 for a number and PyYAML writes it for a string
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
