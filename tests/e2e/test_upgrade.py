"""`helm upgrade` with processors in place: another operator takes over, and no one who uses a processor notices.

One processor has its memory on a volume of its own, the other in stores that the chart names.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from kato_operator.cluster.lease import LEASE
from kato_operator.cluster.rules import LEASE_RULES, RULES, STORES_RULES
from kato_operator.desired.kinds import AUTOSCALER, CLAIM, DISRUPTION_BUDGET, SERVICE_ACCOUNT, SESSION, WATCHED
from tests.e2e.clients import load
from tests.e2e.release import CHART, NAME, NAMESPACE, OPERATOR, Release
from tests.e2e.space import COUNTED, NOTICED, STARTED, Space, processor, session
from tests.support.cluster.images import project
from tests.support.cluster.local import LocalCluster
from tests.support.eventually import eventually
from tests.support.learning import acknowledged, known
from tests.support.operator import audit
from tests.support.operator.stores import running_stores

STEADY, SHARED = "http://kato-steady:8000", "http://kato-shared:8000"
DEFINITION = "files/crds/katoprocessors.kato.dev.yaml"
STORES = ("--set", "stores.external.mongodb.secret=stores", "--set", "stores.external.redis.secret=stores")
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
OBJECTS = (
    *("kproc/steady", "kproc/shared", "ksess/reader", "ksess/sharer"),
    *("deployment/kato-steady", "deployment/kato-shared"),
)
# What the walk of this file may do without; tests/operator/test_rights.py leads the operator to each: to read, object
# for object, what its watches did not show, and to delete what comes and goes with a spec. The Lease is there before.
REMOVED = (SESSION, CLAIM, SERVICE_ACCOUNT, DISRUPTION_BUDGET, AUTOSCALER)
SELDOM = {(kind.group, kind.plural, "get") for kind in WATCHED} | {
    (kind.group, kind.plural, "delete") for kind in REMOVED
}
SELDOM |= {(LEASE.group, LEASE.plural, "create")}


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
def began() -> float:
    """When the walk of this file began, in seconds since the epoch."""
    return time.time()


@pytest.fixture(scope="module")
def next_tag(release: Release, local_cluster: LocalCluster) -> str:
    """The operator's image by another tag, as a newer one would have it."""
    version = project()["version"]
    image = f"docker.io/library/{NAME}"
    local_cluster.ctr("images", "tag", "--force", f"{image}:{version}", f"{image}:{version}-next")
    return f"{version}-next"


@pytest.fixture(scope="module")
def steady(
    began: float,
    release: Release,
    space: Space,
    local_cluster: LocalCluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Space]:
    """The chart as it was before, and a namespace with processors and declared sessions that are Ready."""
    with running_stores(local_cluster, tmp_path_factory.mktemp("stores")) as stores:
        release.cluster.apply(stores.secret(NAMESPACE))
        release.install(*STORES, chart=previous_chart(tmp_path_factory.mktemp("previous")))
        assert columns(release) == 0
        space.apply(
            processor("steady", displayName="Before", storage={"embedded": {"size": "1Gi"}}),
            processor("shared", replicas=2, resources=SMALL, deletionPolicy="Delete", autoscaling={"maxReplicas": 3}),
            session("reader", of="steady"),
            session("sharer", of="shared"),
        )
        for reference in ("kproc/steady", "kproc/shared", "ksess/reader", "ksess/sharer"):
            space.wait(reference)
        yield space
        space.kubectl("delete", "kproc,ksess", "--all", "--timeout=100s")
        release.install()
        release.kubectl("delete", "secret/stores")


def test_an_upgrade_of_the_operator_drops_no_request_and_touches_no_object(
    steady: Space, release: Release, next_tag: str
) -> None:
    before, running = [steady.get(name) for name in OBJECTS], pods(steady)
    assert before[1]["status"]["storage"]["type"] == "External"
    operators = operator_pods(release)
    with load(steady, STEADY) as embedded, load(steady, SHARED) as external:
        release.install(*STORES, "--set", f"image.tag={next_tag}", "--set", "replicas=2")
        assert not operators & operator_pods(release)
        for name, url in (("steady", STEADY), ("shared", SHARED)):
            steady.kubectl("patch", "kproc", name, "--type=merge", "-p", '{"spec":{"displayName":"After"}}')
            eventually(lambda url=url: steady.read(f"{url}/ping")["name"] == "After", promised=NOTICED)
        assert {image.rpartition(":")[2] for image in operator_images(release)} == {next_tag}
        release.install(*STORES)
    assert columns(release) > 0
    assert (embedded["failures"], external["failures"]) == ([], [])
    after = [steady.get(name) for name in OBJECTS]
    assert pods(steady) == running
    assert [item["metadata"]["uid"] for item in before] == [item["metadata"]["uid"] for item in after]
    for old, new in zip(before[2:4], after[2:4], strict=True):
        assert new["status"]["sessionId"] == old["status"]["sessionId"]
    for old, new in zip(before[4:], after[4:], strict=True):
        assert new["metadata"]["generation"] == old["metadata"]["generation"]
    for name, url, report in (("steady", STEADY, embedded), ("shared", SHARED, external)):
        assert report["answered"] > len(report["learned"]) > 0
        wanted = acknowledged(report["learned"])
        # Whoever asks without a session may be answered by a pod that hears of the last ones a moment later.
        eventually(
            lambda url=url, wanted=wanted: known(lambda path: steady.read(url + path), "load") == wanted,
            timeout=STARTED,
        )
        count = len(wanted)
        eventually(
            lambda name=name, count=count: steady.get(f"kproc/{name}")["status"]["patterns"] == count,
            promised=COUNTED,
        )


def pods(space: Space) -> set[str]:
    """Return the pods of both processors."""
    return {pod["metadata"]["uid"] for pod in space.listing("pods", "kato.dev/processor")}


def operator_pods(release: Release) -> set[str]:
    """Return the operator's pods."""
    return set(release.kubectl("get", "pods", "--selector", OPERATOR, "-o", "name").split())


def operator_images(release: Release) -> list[str]:
    """Return the image of each of the operator's pods."""
    path = "jsonpath={.items[*].spec.containers[*].image}"
    return release.kubectl("get", "pods", "--selector", OPERATOR, "-o", path).split()


def test_the_chart_grants_what_the_operator_asks_for_and_nothing_that_no_one_needs(
    steady: Space, began: float, local_cluster: LocalCluster, record_property: Callable[[str, object], None]
) -> None:
    """All of this file under the chart's own ServiceAccount, by the API server's audit log."""
    steady.kubectl("delete", "kproc/shared", "ksess/sharer", f"--timeout={STARTED}s")
    account = f"system:serviceaccount:{NAMESPACE}:{NAME}"
    granted = audit.granted(*RULES, *LEASE_RULES, *STORES_RULES)

    def asked() -> list[audit.Request]:
        return [item for item in audit.requests(local_cluster, user=account) if item.at >= began]

    # The last that it does for a processor comes after the finalizer is off, and so after kubectl's return.
    with suppress(AssertionError):  # what is never used is named below
        eventually(lambda: not granted - audit.used(asked()) - SELDOM, timeout=STARTED, interval=1)
    done = asked()
    used = audit.used(done)
    assert audit.forbidden(done) == []
    assert used <= granted
    assert audit.described(granted - used - SELDOM) == ""
    record_property("what the installed operator asked of the API server", audit.described(used))
