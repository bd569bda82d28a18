"""`make cluster` leaves a cluster with the operator on it; `cluster-exec` reaches it and `cluster-down` ends it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.release import ROOT
from tests.support.cluster import find, runs

NAME = f"make-{os.getpid()}"


def make(target: str, *variables: str) -> str:
    """Run a target with the environment of this test, which is taken as it is, and return what it printed."""
    venv = sys.prefix
    words = ["make", "--silent", "-o", f"{venv}/.dev", target, f"VENV={venv}", f"CLUSTER={NAME}", *variables]
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def said() -> Iterator[str]:
    """What `make cluster` says; the cluster goes with the test."""
    assert find.named() is None, f"this test raises a cluster of its own: unset {find.NAMED}"
    try:
        yield make("cluster")
    finally:
        if run := runs.find(NAME):
            runs.end(run)


@pytest.mark.timeout(900)
def test_make_cluster_says_what_to_type(said: str) -> None:
    assert "make cluster-exec CMD='kubectl get katoprocessors'" in said


def test_make_cluster_exec_reaches_the_operator(said: str) -> None:
    get = "kubectl --namespace kato-system get deployments -o jsonpath='{.items[*].status.readyReplicas}'"
    assert make("cluster-exec", f"CMD={get}") == "1"


def test_make_cluster_down_leaves_nothing(said: str) -> None:
    make("cluster-down")
    assert runs.find(NAME) is None
