"""Two replicas, one writer: takeover after a death, a freeze and an orderly end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.operator.process import OperatorProcess
from tests.support.operator.space import PROMISED, Space

TAKEOVER = 15.0
Pair = tuple[OperatorProcess, OperatorProcess]


@pytest.fixture
def pair(cluster: Cluster, home: str, tmp_path: Path) -> Iterator[Pair]:
    """A leader and a replica that waits, with the lease as long as in production."""
    made = []
    for name in ("one", "two"):
        directory = tmp_path / name
        directory.mkdir()
        made.append(OperatorProcess(cluster, [home], directory, lease_seconds=10, pod_name=name))
    first, second = made
    first.start()
    eventually(lambda: first.leads, timeout=30)
    second.start()
    assert not second.leads
    yield first, second
    for process in made:
        process.stop()


def works(space: Space, name: str) -> None:
    """See that someone brings a new processor its children."""
    space.processor(name, suspend=True)
    eventually(lambda: space.find(f"deployment/kato-{name}"), timeout=PROMISED)


@pytest.fixture
def bare(cluster: Cluster, home: str) -> Space:
    return Space(cluster, home)


def test_a_dead_leader_is_followed_within_15_s(pair: Pair, bare: Space) -> None:
    first, second = pair
    works(bare, "before")
    first.send(signal.SIGKILL)
    eventually(lambda: second.leads, timeout=TAKEOVER)
    works(bare, "after-death")


def test_an_orderly_end_is_followed_at_once(pair: Pair, bare: Space) -> None:
    first, second = pair
    assert first.stop() == 0
    eventually(lambda: second.leads, timeout=5)
    works(bare, "after-end")


def test_a_leader_that_froze_writes_nothing_when_it_wakes(pair: Pair, bare: Space) -> None:
    first, second = pair
    first.send(signal.SIGSTOP)
    eventually(lambda: second.leads, timeout=TAKEOVER)
    bare.kubectl("patch", "lease/kato-operator", "--type=merge", "--patch", '{"metadata":{"labels":{"seen":"1"}}}')
    holder = bare.get("lease/kato-operator")["spec"]["holderIdentity"]
    first.send(signal.SIGCONT)
    assert first.wait() == 1
    assert bare.get("lease/kato-operator")["spec"]["holderIdentity"] == holder
    works(bare, "after-freeze")


def test_a_standby_is_alive_and_ready_and_writes_nothing(pair: Pair, bare: Space) -> None:
    _, second = pair
    works(bare, "with-two")
    assert second.ask("/livez").status_code == 200
    assert second.ask("/readyz").text == "standby"
    assert second.metric("kato_operator_writes_total") == 0
    assert second.metric("kato_operator_leader") == 0
