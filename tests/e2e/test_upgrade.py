"""`helm upgrade` with processors in place: another operator takes over, and no one who uses a processor notices."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.e2e.clients import load
from tests.e2e.release import CHART, Release
from tests.e2e.space import COUNTED, NOTICED, Space, processor, session
from tests.support.eventually import eventually

URL = "http://kato-steady:8000"
DEFINITION = "files/crds/katoprocessors.kato.dev.yaml"
OPERATOR = "app.kubernetes.io/component=operator"


def previous_chart(directory: Path) -> Path:
    """Return a chart as it was before: another version, and definitions that lack what has come since."""
    chart = directory / "kato-operator"
    shutil.copytree(CHART, chart)
    about, definition = chart / "Chart.yaml", chart / DEFINITION
    about.write_text(about.read_text().replace("\nversion: ", "\nversion: 0.0.1-before."))
    document = yaml.safe_load(definition.read_text())
    document["spec"]["versions"][0]["additionalPrinterColumns"] = []
    definition.write_text(yaml.safe_dump(document))
    return chart


def columns(release: Release) -> int:
    """Return how many columns the cluster prints of processors."""
    definition = release.cluster.get("crd", "katoprocessors.kato.dev")
    return len(definition["spec"]["versions"][0].get("additionalPrinterColumns", []))


@pytest.fixture(scope="module")
def steady(release: Release, space: Space, tmp_path_factory: pytest.TempPathFactory) -> Space:
    """The chart as it was before, and a namespace with a processor and a declared session that are Ready."""
    release.install(chart=previous_chart(tmp_path_factory.mktemp("previous")))
    assert columns(release) == 0
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
    assert columns(release) > 0
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
