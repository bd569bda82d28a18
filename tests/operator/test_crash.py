"""The operator dies after each single write to a real API server; what it left is always brought to the same end."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from kato_operator.clock import SystemClock
from kato_operator.cluster.kube import KubeCluster
from kato_operator.cluster.rest import connect
from kato_operator.desired.kinds import CLAIM, Kind, Manifest
from kato_operator.reconcile.fence import Fence
from kato_operator.reconcile.ports import Cluster, Happening
from tests.support.cluster.cluster import Cluster as KubernetesCluster
from tests.support.eventually import eventually, eventually_async
from tests.support.operator.clock import HeldClock
from tests.support.operator.fake_cluster import Crash, Listener
from tests.support.operator.pods import PodsInProcess
from tests.support.operator.rig import Rig
from tests.support.operator.space import PATIENCE, Space

LIVES = 60


class Mortal:
    """The `Cluster` port on a real API server for a process that dies right after its first write."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.listener: Listener = lambda kind, manifest, gone: None
        self.wrote = ""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what only reads is the real one's
        return getattr(self._cluster, name)

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        self._last(f"apply {kind.name}")
        await self._cluster.create(kind, manifest)
        raise Crash

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        self._last(f"apply {kind.name}")
        await self._cluster.apply(kind, manifest)
        raise Crash

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        self._last(f"replace {kind.name}")
        await self._cluster.replace(kind, manifest)
        raise Crash

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        self._last(f"status {kind.name}")
        await self._cluster.write_status(kind, manifest)
        raise Crash

    async def set_finalizers(self, kind: Kind, manifest: Manifest, finalizers: Sequence[str]) -> Manifest:
        self._last(f"finalizers {kind.name}")
        await self._cluster.set_finalizers(kind, manifest, finalizers)
        raise Crash

    async def delete(self, kind: Kind, manifest: Manifest) -> None:
        self._last(f"delete {kind.name}")
        await self._cluster.delete(kind, manifest)
        raise Crash

    async def announce(self, happening: Happening) -> None:
        self._last(f"event {happening.reason}")
        await self._cluster.announce(happening)
        raise Crash

    def _last(self, what: str) -> None:
        """Let one write through, and none after it: whoever else was about to write is dead too."""
        if self.wrote:
            raise Crash
        self.wrote = what


class Lives:
    """One operator process after the other on one namespace; `writes` says what each of them died after."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.writes: list[str] = []

    async def run(self) -> list[str]:
        """Start processes until one finds nothing to write; return what those before it wrote, one each."""
        before = len(self.writes)
        for _ in range(LIVES):
            mortal, clock = Mortal(self._cluster), HeldClock()
            rig = Rig(mortal, PodsInProcess(clock), clock)  # type: ignore[arg-type] # the port, and a listener
            try:
                await rig.start()
                await rig.rounds.sweep()
                await rig.forward(3)
            except Crash:
                self.writes.append(mortal.wrote)
            else:
                return self.writes[before:]
        raise AssertionError(f"never settled: {self.writes[before:]}")


@pytest.fixture
async def lives(
    crds: None,
    no_other_operator: None,
    network: None,
    cluster: KubernetesCluster,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Lives]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    fence = Fence(SystemClock().monotonic)
    fence.extend(math.inf)
    async with await connect() as rest:
        yield Lives(KubeCluster(rest, fence, [namespace], instance="mortal"))


async def test_it_converges_after_a_death_at_each_write(
    lives: Lives, cluster: KubernetesCluster, namespace: str
) -> None:
    space = Space(cluster, namespace)
    volume = {"embedded": {"size": "1Gi"}}
    space.processor("broad", storage=volume, suspend=True, deletionPolicy="Delete")
    space.session("reader", "broad")
    created = await lives.run()
    assert created[0] in {"finalizers KatoProcessor", "status KatoSession"}
    applied = [write for write in created if write.startswith("apply")]
    assert len(applied) == len(set(applied)) == 7
    assert shape(space) == ["Deployment", "Service", "ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy", "PVC"]
    assert space.condition("kproc/broad", "Ready") == ("False", "Suspended")
    assert space.condition("ksess/reader", "Bound") == ("False", "ProcessorSuspended")

    space.processor("broad", storage=volume, suspend=True, deletionPolicy="Delete", port=9000, serviceAccountName="own")
    updated = await lives.run()
    assert {"apply Service", "apply Deployment", "apply ConfigMap", "delete ServiceAccount"} <= set(updated)
    assert space.get("service/kato-broad")["spec"]["ports"][0]["port"] == 9000
    assert (
        space.get("kproc/broad")["status"]["observedGeneration"] == space.get("kproc/broad")["metadata"]["generation"]
    )

    edit = json.dumps({"data": {"more": "x"}})
    space.kubectl("patch", "configmap/kato-broad", "--type=merge", "--patch", edit)
    assert "replace ConfigMap" in await lives.run()
    assert "more" not in space.get("configmap/kato-broad")["data"]

    space.kubectl("delete", "kproc/broad", "ksess/reader", "--wait=false")
    deleted: list[str] = []

    async def gone() -> bool:
        deleted.extend(await lives.run())
        return space.find("kproc/broad") is None

    await eventually_async(gone, timeout=PATIENCE, interval=0.5)
    assert {"delete Deployment", "delete PersistentVolumeClaim", "finalizers KatoProcessor"} <= set(deleted)
    eventually(lambda: shape(space) == [], timeout=PATIENCE)
    assert CLAIM.name not in {write.split()[1] for write in await lives.run()}


def shape(space: Space) -> list[str]:
    """Return the kinds of the processor's children: one of each, or the test that compares them fails."""
    kinds = "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,pvc"
    found = space.listing(kinds, "kato.dev/processor=broad")
    return ["PVC" if item["kind"] == CLAIM.name else item["kind"] for item in found]
