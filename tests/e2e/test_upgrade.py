"""`helm upgrade` with processors in place: another operator takes over, and no one who uses a processor notices."""

from __future__ import annotations

import pytest

from tests.e2e.clients import load
from tests.e2e.release import Release
from tests.e2e.space import COUNTED, NOTICED, Space, processor, session
from tests.support.eventually import eventually

URL = "http://kato-steady:8000"
OPERATOR = "app.kubernetes.io/component=operator"


@pytest.fixture(scope="module")
def steady(space: Space) -> Space:
    """A namespace with a processor and a declared session that are Ready."""
    space.apply(processor("steady", displayName="Before"), session("reader", of="steady"))
    space.wait("kproc/steady")
    space.wait("ksess/reader")
    return space


def test_an_upgrade_of_the_operator_drops_no_request_and_touches_no_object(steady: Space, release: Release) -> None:
    before = [steady.get(name) for name in ("kproc/steady", "ksess/reader", "deployment/kato-steady")]
    pod = steady.pod_of("steady")["metadata"]["uid"]
    operators = operator_pods(release)
    with load(steady, URL) as report:
        release.install("--set", "logLevel=debug", "--set", "replicas=2")
        eventually(lambda: not operators & operator_pods(release), timeout=60)
        steady.kubectl("patch", "kproc", "steady", "--type=merge", "-p", '{"spec":{"displayName":"After"}}')
        eventually(lambda: steady.read(f"{URL}/ping")["name"] == "After", promised=NOTICED)
        release.install()
    after = [steady.get(name) for name in ("kproc/steady", "ksess/reader", "deployment/kato-steady")]
    assert report["failures"] == []
    assert report["answered"] > len(report["learned"]) > 0
    assert steady.pod_of("steady")["metadata"]["uid"] == pod
    assert [item["metadata"]["uid"] for item in before] == [item["metadata"]["uid"] for item in after]
    assert after[1]["status"]["sessionId"] == before[1]["status"]["sessionId"]
    assert after[2]["metadata"]["generation"] == before[2]["metadata"]["generation"]
    learned = len(set(report["learned"]))
    eventually(lambda: steady.get("kproc/steady")["status"]["patterns"] == learned, promised=COUNTED)


def operator_pods(release: Release) -> set[str]:
    """Return the operator's pods."""
    return set(release.kubectl("get", "pods", "--selector", OPERATOR, "-o", "name").split())
