"""Two replicas, one writer: takeover after death, freeze, partition and an orderly end; the audit log is witness."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kato_operator import alarm
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.local import LocalCluster
from tests.support.eventually import eventually
from tests.support.operator import audit
from tests.support.operator.faulty import Proxy, faulty
from tests.support.operator.process import OperatorProcess
from tests.support.operator.space import PATIENCE, PROMISED, Space

TAKEOVER = 15.0
LEASE = 10.0
Pair = tuple[OperatorProcess, OperatorProcess]


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Iterator[Proxy]:
    """The first replica's way to the API server."""
    with faulty(cluster, tmp_path) as proxy:
        yield proxy


@pytest.fixture
def pair(cluster: Cluster, home: str, proxy: Proxy, tmp_path: Path) -> Iterator[Pair]:
    """A leader and a replica that waits, with the lease as long as in production."""
    made = []
    for name, server in (("one", proxy.url), ("two", None)):
        directory = tmp_path / name
        directory.mkdir()
        made.append(OperatorProcess(cluster, [home], directory, server=server, lease_seconds=LEASE, pod_name=name))
    first, second = made
    first.start()
    eventually(lambda: first.leads, timeout=30)
    second.start()
    assert not second.leads
    yield first, second
    proxy.harm()
    for process in made:
        process.stop()


def works(space: Space, name: str) -> None:
    """See that someone brings a new processor its children."""
    space.processor(name, suspend=True)
    eventually(lambda: space.find(f"deployment/kato-{name}"), promised=PROMISED)


@pytest.fixture
def bare(cluster: Cluster, home: str) -> Space:
    return Space(cluster, home)


@contextmanager
def vandal(space: Space, name: str) -> Iterator[None]:
    """Break a child of a processor again and again, so that whoever may write has something to write all the time."""
    stop = threading.Event()

    def work() -> None:
        for number in itertools.count(2000):
            if stop.is_set():
                return
            edit = json.dumps([{"op": "replace", "path": "/spec/ports/0/port", "value": number}])
            space.kubectl("patch", f"service/kato-{name}", "--type=json", "--patch", edit)
            stop.wait(0.2)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def wrote_only_while_it_held_the_lease(cluster: LocalCluster, process: OperatorProcess) -> None:
    """See from the audit log that no write of a replica came after its last renewal had run out."""
    asked = [request for request in audit.requests(cluster, token=process.token) if request.writes]
    renewals = [request.at for request in asked if request.resource == "leases" and request.code < 300]
    writes = [request.at for request in asked if request.resource != "leases"]
    assert renewals
    assert len(writes) > 5
    assert max(writes) <= max(renewals) + LEASE


def kill(process: OperatorProcess, proxy: Proxy) -> None:
    process.send(signal.SIGKILL)


def freeze(process: OperatorProcess, proxy: Proxy) -> None:
    process.send(signal.SIGSTOP)


def partition(process: OperatorProcess, proxy: Proxy) -> None:
    proxy.harm(mode="lost")


def nothing(process: OperatorProcess, proxy: Proxy) -> None:
    pass


def thaw(process: OperatorProcess, proxy: Proxy) -> None:
    process.send(signal.SIGCONT)


def reunite(process: OperatorProcess, proxy: Proxy) -> None:
    proxy.harm()


Deed = Callable[[OperatorProcess, Proxy], None]


@pytest.mark.parametrize(
    ("harm", "heal", "codes"),
    [
        (kill, nothing, {-signal.SIGKILL}),
        (freeze, thaw, {alarm.EXIT_CODE}),
        (partition, reunite, {1, alarm.EXIT_CODE}),  # the latter where an orderly end takes longer than the lease
    ],
    ids=["killed", "frozen", "partitioned"],
)
def test_a_lost_leader_is_followed_within_15_s_and_writes_no_more(
    local_cluster: LocalCluster, pair: Pair, proxy: Proxy, bare: Space, harm: Deed, heal: Deed, codes: set[int]
) -> None:
    first, second = pair
    name = f"with-{harm.__name__}"
    works(bare, name)
    with vandal(bare, name):
        writes = second.metric("kato_operator_writes_total")
        eventually(lambda: first.metric("kato_operator_writes_total") > 12, timeout=PATIENCE)
        assert second.metric("kato_operator_writes_total") == writes == 0
        harm(first, proxy)
        eventually(lambda: second.leads, promised=TAKEOVER)
        holder = bare.get("lease/kato-operator")["spec"]["holderIdentity"]
        heal(first, proxy)
        assert first.wait() in codes
        eventually(lambda: second.metric("kato_operator_writes_total") > 2, timeout=PATIENCE)
    assert bare.get("lease/kato-operator")["spec"]["holderIdentity"] == holder
    wrote_only_while_it_held_the_lease(local_cluster, first)
    eventually(lambda: bare.get(f"service/kato-{name}")["spec"]["ports"][0]["port"] == 8000, promised=PROMISED)


@pytest.mark.usefixtures("local_cluster")  # it takes what a local cluster takes, too
def test_the_end_of_the_lease_ends_the_first_process_of_a_container_too() -> None:
    program = "import time; from kato_operator.alarm import Alarm; Alarm().end_at(time.monotonic()); time.sleep(60)"
    first = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", program]
    assert subprocess.run(first, timeout=60, check=False).returncode == alarm.EXIT_CODE


def test_an_orderly_end_is_followed_at_once(pair: Pair, bare: Space) -> None:
    first, second = pair
    assert first.stop() == 0
    eventually(lambda: second.leads, promised=5)
    works(bare, "after-end")


def test_a_standby_is_alive_and_ready_and_writes_nothing(pair: Pair, bare: Space) -> None:
    _, second = pair
    works(bare, "with-two")
    assert second.ask("/livez").status_code == 200
    assert second.ask("/readyz").text == "standby"
    assert second.metric("kato_operator_writes_total") == 0
    assert second.metric("kato_operator_leader") == 0
