"""One contract suite over the `Cluster` port: the fake that unit tests use, and a real API server."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from kato_operator.clock import SystemClock
from kato_operator.cluster.kube import KubeCluster
from kato_operator.cluster.rest import connect
from kato_operator.desired.children import children
from kato_operator.desired.compare import drift, stamped
from kato_operator.desired.kinds import BY_NAME, CONFIG_MAP, PROCESSOR, SERVICE, Kind, Manifest
from kato_operator.reconcile.fence import Fence, NotLeader
from kato_operator.reconcile.ports import Cluster, Conflict, Happening, NotServed, Refused
from tests.support.cluster.cluster import Cluster as KubectlCluster
from tests.support.operator.clock import HeldClock
from tests.support.operator.fake_cluster import FakeCluster
from tests.support.operator.subjects import EVERYTHING, SHARED, subject

LABELS = {"kato.dev/processor": "p"}


@dataclass
class Bench:
    """A cluster and a namespace on it that is empty."""

    cluster: Cluster
    namespace: str
    name: str
    fence: Fence

    def config_map(self, labels: dict[str, str] | None = None, **data: str) -> Manifest:
        metadata = {"name": self.name, "namespace": self.namespace, "labels": LABELS if labels is None else labels}
        return CONFIG_MAP.manifest(metadata, data=data)

    def processor(self) -> Manifest:
        return PROCESSOR.manifest({"name": self.name, "namespace": self.namespace}, spec={"displayName": "x"})

    async def get(self, kind: Kind) -> Manifest:
        found = await self.cluster.get(kind, self.namespace, self.name)
        assert found is not None
        return found


@pytest.fixture(params=["fake", "real"])
async def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    name = f"b-{uuid4().hex[:8]}"
    fence = Fence(SystemClock().monotonic)
    fence.extend(math.inf)
    if request.param == "fake":
        yield Bench(FakeCluster(HeldClock()), "space", name, fence)
        return
    for fixture in ("crds", "no_other_operator", "network"):
        request.getfixturevalue(fixture)
    monkeypatch.setenv("KUBECONFIG", str(request.getfixturevalue("cluster").kubeconfig))
    namespace = request.getfixturevalue("namespace")
    async with await connect() as rest:
        yield Bench(KubeCluster(rest, fence, [namespace], instance="test"), namespace, name, fence)


async def test_what_is_not_there_is_none(bench: Bench) -> None:
    assert await bench.cluster.get(CONFIG_MAP, bench.namespace, "nothing") is None


async def test_an_apply_makes_an_object_and_a_second_one_changes_nothing(bench: Bench) -> None:
    first = await bench.cluster.apply(CONFIG_MAP, bench.config_map(a="1"))
    assert first["metadata"]["uid"]
    again = await bench.cluster.apply(CONFIG_MAP, bench.config_map(a="1"))
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert (await bench.get(CONFIG_MAP))["data"] == {"a": "1"}


async def test_what_is_there_is_not_made_and_stays_as_it_is(bench: Bench) -> None:
    first = await bench.cluster.create(CONFIG_MAP, bench.config_map(a="1"))
    assert first["metadata"]["resourceVersion"] == (await bench.get(CONFIG_MAP))["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        await bench.cluster.create(CONFIG_MAP, bench.config_map(a="2"))
    assert await bench.get(CONFIG_MAP) == first
    after = await bench.cluster.apply(CONFIG_MAP, bench.config_map(b="2"))
    assert after["data"] == {"b": "2"}


async def test_an_apply_takes_away_what_an_earlier_one_brought(bench: Bench) -> None:
    await bench.cluster.apply(CONFIG_MAP, bench.config_map(a="1", b="2"))
    after = await bench.cluster.apply(CONFIG_MAP, bench.config_map(a="1"))
    assert after["data"] == {"a": "1"}


async def test_a_replace_on_an_older_version_is_a_conflict(bench: Bench) -> None:
    old = await bench.cluster.apply(CONFIG_MAP, bench.config_map(a="1"))
    await bench.cluster.apply(CONFIG_MAP, bench.config_map(a="2"))
    with pytest.raises(Conflict):
        await bench.cluster.replace(CONFIG_MAP, {**old, "data": {}})


async def test_a_status_is_written_on_the_version_it_was_made_for(bench: Bench) -> None:
    made = await bench.cluster.apply(PROCESSOR, bench.processor())
    written = await bench.cluster.write_status(PROCESSOR, {**made, "status": {"patterns": 1}})
    assert written["status"] == {"patterns": 1}
    assert written["metadata"]["generation"] == made["metadata"]["generation"]
    with pytest.raises(Conflict):
        await bench.cluster.write_status(PROCESSOR, {**made, "status": {"patterns": 2}})


async def test_finalizers_hold_an_object_until_they_are_off(bench: Bench) -> None:
    made = await bench.cluster.apply(PROCESSOR, bench.processor())
    held = await bench.cluster.set_finalizers(PROCESSOR, made, ["kato.dev/memory"])
    with pytest.raises(Conflict):
        await bench.cluster.set_finalizers(PROCESSOR, made, [])
    await bench.cluster.delete(PROCESSOR, held)
    leaving = await bench.get(PROCESSOR)
    assert leaving["metadata"]["deletionTimestamp"]
    await bench.cluster.set_finalizers(PROCESSOR, leaving, [])
    assert await bench.cluster.get(PROCESSOR, bench.namespace, bench.name) is None


async def test_a_deletion_is_of_the_very_object_and_may_be_repeated(bench: Bench) -> None:
    made = await bench.cluster.apply(CONFIG_MAP, bench.config_map(a="1"))
    other = {**made, "metadata": {**made["metadata"], "uid": str(uuid4())}}
    await bench.cluster.delete(CONFIG_MAP, other)
    assert await bench.get(CONFIG_MAP)
    await bench.cluster.delete(CONFIG_MAP, made)
    await bench.cluster.delete(CONFIG_MAP, made)
    assert await bench.cluster.get(CONFIG_MAP, bench.namespace, bench.name) is None


async def test_a_listing_of_nothing_is_empty(bench: Bench) -> None:
    assert await bench.cluster.listing(CONFIG_MAP) == []
    assert await bench.cluster.versions(CONFIG_MAP) == {}
    assert await bench.cluster.uids(CONFIG_MAP, bench.namespace) == frozenset()


async def test_a_listing_shows_what_is_watched(bench: Bench) -> None:
    made = await bench.cluster.apply(CONFIG_MAP, bench.config_map(a="1"))
    assert [item["metadata"]["uid"] for item in await bench.cluster.listing(CONFIG_MAP)] == [made["metadata"]["uid"]]
    assert await bench.cluster.versions(CONFIG_MAP) == {
        (bench.namespace, bench.name): made["metadata"]["resourceVersion"]
    }
    assert await bench.cluster.uids(CONFIG_MAP, bench.namespace) == {made["metadata"]["uid"]}
    (listed,) = await bench.cluster.listing(CONFIG_MAP)
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMap", "v1")
    await bench.cluster.delete(CONFIG_MAP, made)
    await bench.cluster.apply(CONFIG_MAP, bench.config_map(labels={}, a="1"))
    assert await bench.cluster.listing(CONFIG_MAP) == []


async def test_a_kind_that_is_not_served_is_told_apart(bench: Bench) -> None:
    with pytest.raises(NotServed):
        await bench.cluster.listing(Kind("kato.dev", "v1alpha1", "katonothings", "KatoNothing"))


async def test_an_event_can_be_posted(bench: Bench) -> None:
    made = await bench.cluster.apply(PROCESSOR, bench.processor())
    await bench.cluster.announce(Happening(made, "Warning", "NameConflict", "n" * 5000))


@pytest.mark.parametrize("bench", ["real"], indirect=True)
async def test_the_same_about_one_version_of_an_object_is_one_event(bench: Bench, cluster: KubectlCluster) -> None:
    for version in ("1", "2"):
        made = await bench.cluster.apply(CONFIG_MAP, bench.config_map(a=version))
        for note in ("at first", "and again"):
            await bench.cluster.announce(Happening(made, "Warning", "NameConflict", note))
    found = cluster.kubectl("get", "events.events.k8s.io", "--namespace", bench.namespace, "--output", "name")
    assert found.count(f"/{bench.name}.") == 2


@pytest.mark.parametrize("bench", ["real"], indirect=True)
async def test_what_the_api_server_refuses_is_for_good(bench: Bench) -> None:
    metadata = {"name": bench.name, "namespace": bench.namespace}
    bad = SERVICE.manifest(metadata, spec={"ports": [{"port": 99999}]})
    with pytest.raises(Refused) as refused:
        await bench.cluster.apply(SERVICE, bad)
    assert refused.value.reason == "InvalidSpec"
    assert "99999" in str(refused.value)


@pytest.mark.parametrize("bench", ["real"], indirect=True)
async def test_nothing_is_written_past_a_closed_fence(bench: Bench) -> None:
    bench.fence.close()
    with pytest.raises(NotLeader):
        await bench.cluster.apply(CONFIG_MAP, bench.config_map(a="1"))
    assert await bench.cluster.get(CONFIG_MAP, bench.namespace, bench.name) is None


@pytest.mark.parametrize("bench", ["real"], indirect=True)
@pytest.mark.parametrize("spec", [{}, EVERYTHING, SHARED], ids=["plain", "everything", "shared"])
async def test_every_child_is_as_wanted_once_it_is_applied(bench: Bench, spec: dict[str, Any]) -> None:
    for manifest in children(subject(bench.namespace, bench.name, **spec), None):
        wanted = stamped(manifest)
        stored = await bench.cluster.apply(BY_NAME[manifest["kind"]], wanted)
        assert list(drift(wanted, stored)) == []
