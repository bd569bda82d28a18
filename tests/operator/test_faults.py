"""The API server fails, forgets, cuts watches and goes away: the operator converges, backs off and does not hammer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.cluster.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.operator.faulty import Proxy
from tests.support.operator.process import OperatorProcess, leading
from tests.support.operator.space import PATIENCE, PROMISED, Space

KINDS = "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies"
CHILDREN = 6
AWAY = 30.0
# More requests a second than that, on an average, is hammering.
HAMMERING = 5.0


@pytest.fixture(scope="module")
def operator(cluster: Cluster, home: str, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The operator of this file, behind the proxy, with a lease and resyncs as in production."""
    directory = tmp_path_factory.mktemp("operator")
    process = OperatorProcess(cluster, [home], directory, server=proxy.url, lease_seconds=10)
    with leading(process):
        yield process
        proxy.harm()


@pytest.fixture(autouse=True)
def healed(proxy: Proxy) -> Iterator[None]:
    yield
    proxy.harm()


def children(space: Space, name: str) -> int:
    return len(space.listing(KINDS, f"kato.dev/processor={name}"))


def restarted(operator: OperatorProcess) -> None:
    """Start the operator again if it ended, as the kubelet would."""
    if operator.ended:
        operator.start()


def leads(operator: OperatorProcess) -> bool:
    """Say whether it leads; one that is about to end may not even answer."""
    try:
        return operator.leads
    except httpx.TransportError:
        return False


def gone(space: Space) -> None:
    """Delete the processor, and wait until the garbage collector has its children: the next one bears its name."""
    space.kubectl("delete", "kproc/broad")
    eventually(lambda: children(space, "broad") == 0, timeout=PATIENCE)


def come_true(operator: OperatorProcess, check: Callable[[], object]) -> None:
    """Wait for what an operator brings about that may lose its lease on the way, rightly, and is started again."""

    def checked() -> object:
        restarted(operator)
        return check()

    eventually(checked, promised=PATIENCE, interval=0.5)


def test_it_converges_through_failures(space: Space, proxy: Proxy, operator: OperatorProcess) -> None:
    proxy.harm(share=0.3)
    names = ("one", "two", "three")
    for name in names:
        space.processor(name, suspend=True, deletionPolicy="Delete", storage={"embedded": {"size": "1Gi"}})
    come_true(operator, lambda: all(children(space, name) == CHILDREN for name in names))
    suspended = ("False", "Suspended")
    come_true(operator, lambda: all(space.condition(f"kproc/{name}", "Ready") == suspended for name in names))
    space.kubectl("delete", "service/kato-one")
    come_true(operator, lambda: space.find("service/kato-one"))
    space.kubectl("delete", "kproc", "--all", "--wait=false")
    come_true(operator, lambda: not space.listing("kproc,pvc"))
    assert proxy.seen("failures") > 10


@pytest.mark.parametrize("watches", ["cut", "expired"])
def test_it_sees_what_changed_after_its_watches_were_cut(
    space: Space, proxy: Proxy, operator: OperatorProcess, watches: str
) -> None:
    come_true(operator, lambda: leads(operator))
    space.processor("broad", suspend=True)
    come_true(operator, lambda: children(space, "broad") == CHILDREN)
    proxy.harm(watches=watches)
    proxy.harm()
    space.kubectl("delete", "service/kato-broad")
    eventually(lambda: space.find("service/kato-broad"), promised=PROMISED)
    gone(space)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["away", "lost"])
def test_an_api_server_that_is_unreachable_for_30_s(
    space: Space, proxy: Proxy, operator: OperatorProcess, mode: str
) -> None:
    come_true(operator, lambda: leads(operator))
    space.processor("broad", suspend=True)
    come_true(operator, lambda: children(space, "broad") == CHILDREN)
    before, began = proxy.requests, time.monotonic()
    proxy.harm(mode=mode)
    space.kubectl("delete", "service/kato-broad")

    def time_is_up() -> bool:
        restarted(operator)
        return time.monotonic() - began > AWAY

    eventually(time_is_up, timeout=2 * AWAY, interval=0.5)
    assert proxy.requests - before < HAMMERING * (time.monotonic() - began) + 50
    proxy.harm()
    come_true(operator, lambda: space.find("service/kato-broad"))
    gone(space)
