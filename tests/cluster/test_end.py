"""A local cluster leaves nothing: no process, mount, namespace, link, control group or file, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import control, find, local, runs, start
from tests.support.cluster.box import HOLDER, close_box, find_box, find_holder
from tests.support.cluster.errors import ClusterError
from tests.support.cluster.local import LocalCluster
from tests.support.cluster.node import PAUSE_IMAGE
from tests.support.cluster.pods import claim, pod, with_volume
from tests.support.cluster.traces import Traces, links, traces
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
HARNESS = """
import signal, sys
from tests.support.cluster import start
cluster = start.up(sys.argv[1])  # whose lock goes with it
print("up", flush=True)
signal.pause()
"""


@pytest.fixture
def name() -> Iterator[str]:
    """A cluster name of its own; what is still there of it after the test goes."""
    chosen = f"end-{os.urandom(3).hex()}"
    yield chosen
    if (run := runs.find(chosen)) is not None:
        runs.end(run)


Harness = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def harness() -> Iterator[Harness]:
    """Return a starter of harness processes, which end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start_one(*argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *argv], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def with_a_pod(cluster: LocalCluster) -> Traces:
    """Give a cluster a pod with a volume, and return what it shows of itself."""
    cluster.apply(claim("default", "data"))
    manifest = with_volume(pod("default", "sleeper", PAUSE_IMAGE, ["/pause"]), "data", "/data", 10001)
    eventually(lambda: "default" in cluster.kubectl("get", "serviceaccounts"))
    cluster.apply(manifest)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=100s")
    seen = traces(cluster)
    assert len(seen.processes()) >= len(cluster.box.programs)
    assert len({name for name in seen.namespaces if name.startswith("net:")}) == 2, "the node's and the pod's"
    assert seen.groups()
    return seen


def assert_gone(seen: Traces, run: Path, links_before: set[str]) -> None:
    assert not seen.processes()
    assert not seen.mounts()
    assert not seen.groups()
    assert links() == links_before
    assert not run.exists()


def test_nothing_is_left_after_the_end(name: str) -> None:
    links_before = links()
    cluster = start.up(name)
    seen = with_a_pod(cluster)
    cluster.down()
    assert_gone(seen, cluster.at.path, links_before)


def test_what_a_killed_harness_left_goes_with_the_next_start(name: str, harness: Harness) -> None:
    links_before = links()
    process = harness("-c", HARNESS, name)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    run = runs.find(name)
    assert run is not None
    seen = with_a_pod(local.attach(run))
    process.kill()
    process.communicate()
    assert seen.processes(), "a killed harness cannot take anything down"
    assert name in runs.sweep()
    assert_gone(seen, run.path, links_before)


def test_a_cluster_in_use_is_neither_swept_nor_ended_by_others(name: str) -> None:
    run = runs.create(name, runs.LOCAL)
    assert name not in runs.sweep()
    found = runs.find(name)
    assert found is not None
    with pytest.raises(ClusterError, match="still runs"):
        runs.end(found)
    runs.end(run)
    assert runs.find(name) is None


def test_the_holder_is_known_by_the_program_it_runs_now(tmp_path: Path) -> None:
    shutil.copy("/bin/sleep", tmp_path / HOLDER)
    argv = ["sh", "-c", f"read line; exec {tmp_path / HOLDER} 60"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True)
    assert find_holder(tmp_path) is None, "it is still a shell"
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()
    assert eventually(lambda: find_holder(tmp_path), timeout=60) == process.pid
    close_box(tmp_path)
    process.communicate()
    assert find_holder(tmp_path) is None


def half_way(name: str) -> Callable[[], bool]:
    """Return a check that holds as soon as a cluster that is being raised has its first processes."""
    return lambda: find_box(runs.RUNS / name) is not None and (runs.RUNS / name / "logs" / "etcd.log").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_undoes_itself(name: str, harness: Harness, number: signal.Signals) -> None:
    links_before = links()
    process = harness("-m", "tests.support.cluster", "up", "--name", name)
    eventually(half_way(name), timeout=120)
    seen = Traces(frozenset(), (str(runs.RUNS / name),), f"kato-{name}")
    process.send_signal(number)
    process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert_gone(seen, runs.RUNS / name, links_before)


def test_a_start_killed_half_way_is_swept(name: str, harness: Harness) -> None:
    links_before = links()
    process = harness("-m", "tests.support.cluster", "up", "--name", name)
    eventually(half_way(name), timeout=120)
    seen = Traces(frozenset(), (str(runs.RUNS / name),), f"kato-{name}")
    process.kill()
    process.communicate()
    runs.sweep()
    assert_gone(seen, runs.RUNS / name, links_before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_test_session_that_is_told_to_end_ends_its_cluster(harness: Harness, number: signal.Signals) -> None:
    links_before = links()
    test = "tests/cluster/test_node.py::test_the_audit_log_tells_who_wrote_what"
    process = harness("-m", "pytest", "-p", "no:cacheprovider", test)
    run = runs.RUNS / f"test-{process.pid}"
    eventually(half_way(run.name), timeout=120)
    seen = Traces(frozenset(), (str(run),), f"kato-{run.name}")
    process.send_signal(number)
    process.communicate(timeout=120)
    assert_gone(seen, run, links_before)


def test_a_failed_start_says_why_in_one_message_and_undoes_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ETCD", "http://192.0.2.1:2379")  # an address nobody has
    with pytest.raises(ClusterError, match=r"(?s)etcd ended with code .*192\.0\.2\.1"):
        start.up(name)
    assert not (runs.RUNS / name).exists()


def test_two_clusters_run_at_once(local_cluster: LocalCluster, name: str) -> None:
    second = start.up(name)
    second.kubectl("create", "namespace", "only-here")
    assert "only-here" not in local_cluster.kubectl("get", "namespaces")
    second.down()
    assert "node1" in local_cluster.kubectl("get", "nodes")


def test_the_command_line_raises_lists_enters_and_ends(name: str) -> None:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "tests.support.cluster", *words]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)

    assert call("up", "--name", name).returncode == 0
    assert find.attach(name).name == name
    assert "is up already" in call("up", "--name", name).stderr
    assert name in call("status").stdout
    executed = call("exec", "--name", name, "kubectl", "get", "nodes", "-o", "name")
    assert executed.stdout == "node/node1\n"
    assert call("exec", "--name", name, "sh", "-c", "pwd").stdout.strip() == str(ROOT)
    assert call("exec", "--name", name, "false").returncode == 1
    assert call("down", "--name", name).returncode == 0
    gone = call("exec", "--name", name, "true")
    assert gone.returncode == 1
    assert gone.stderr.startswith("[cluster] error: there is no cluster")
