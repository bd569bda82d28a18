"""Where a cluster comes from: the one the user names, else kind, else the local node; never another, never silently."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import find, kind
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.find import NAMED, NamedCluster
from tests.support.cluster.local import LocalCluster

ROOT = Path(__file__).parents[2]
HARNESS = [sys.executable, "-m", "tests.support.cluster"]


def test_the_cluster_the_user_names_is_used_and_left_alone(local_cluster: LocalCluster) -> None:
    there = ["env", f"{NAMED}={local_cluster.kubeconfig}", *HARNESS]
    assert "left to whoever runs it" in local_cluster.run("sh", "-c", '"$@" 2>&1', "sh", *there, "up")
    assert local_cluster.run(*there, "exec", "kubectl", "get", "nodes", "-o", "name") == "node/node1\n"
    local_cluster.run(*there, "down")
    assert local_cluster.kubectl("get", "nodes", "-o", "name") == "node/node1\n"


def test_a_named_cluster_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("{}")
    monkeypatch.setenv(NAMED, str(config))
    found = find.raise_cluster("unused")
    assert isinstance(found, NamedCluster)
    assert found.environment()["KUBECONFIG"] == str(config)
    found.down()
    assert config.exists()


def test_a_named_file_that_is_not_there_is_no_reason_to_take_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMED, "/no/such/file")
    with pytest.raises(ClusterError, match="names /no/such/file, which is no file"):
        find.raise_cluster("unused")


def test_the_current_context_of_kubectl_is_never_used(local_cluster: LocalCluster, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.write_text(local_cluster.kubeconfig.read_text())
    done = subprocess.run(
        ["env", "-u", NAMED, f"KUBECONFIG={context}", *HARNESS, "exec", "--name", "no-such", "kubectl", "get", "nodes"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no cluster no-such" in done.stderr


def test_a_docker_client_without_a_daemon_is_no_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program, code in (("kind", 0), ("docker", 1)):
        (tmp_path / program).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert not kind.usable()


def test_without_root_it_is_one_line_and_a_failure() -> None:
    done = subprocess.run(
        ["unshare", "--user", "env", "-u", NAMED, *HARNESS, "up", "--name", "never"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("[cluster] error: cluster tests need a Kubernetes")
    assert done.stderr.count("\n") == 1
