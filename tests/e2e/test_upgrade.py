"""`helm upgrade` with processors in place: another operator takes over, and no one who uses a processor notices."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.release import ROOT, Release
from tests.e2e.space import COUNTED, NOTICED, Space, processor, session
from tests.support.eventually import eventually

URL = "http://kato-steady:8000"
LOAD = (ROOT / "tests/e2e/load.py").read_text()
OPERATOR = "app.kubernetes.io/component=operator"


@pytest.fixture(scope="module")
def steady(space: Space) -> Space:
    """A namespace with a processor and a declared session that are Ready."""
    space.apply(processor("steady", displayName="Before"), session("reader", of="steady"))
    space.wait("kproc/steady")
    space.wait("ksess/reader")
    return space


@contextmanager
def load(space: Space) -> Iterator[dict[str, Any]]:
    """Keep 8 clients busy that retry nothing; the dict holds their report when the block has ended."""
    argv = ("kubectl", "--namespace", space.name, "exec", "--stdin", "client", "--", "python3", "-c", LOAD, URL)
    report: dict[str, Any] = {}
    with subprocess.Popen(
        space.cluster.command(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        assert clients.stdout.readline() == "started\n"
        try:
            yield report
        finally:
            clients.stdin.close()
            report |= json.loads(clients.stdout.read())


def test_an_upgrade_of_the_operator_drops_no_request_and_touches_no_object(steady: Space, release: Release) -> None:
    before = [steady.get(name) for name in ("kproc/steady", "ksess/reader", "deployment/kato-steady")]
    pod = steady.pod_of("steady")["metadata"]["uid"]
    operators = operator_pods(release)
    with load(steady) as report:
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
