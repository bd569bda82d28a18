"""The operator dies after each single write to a real API server; what it left is always brought to the same end."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from kato_operator.clock import SystemClock
from kato_operator.cluster.kube import KubeCluster
from kato_operator.cluster.rest import connect
from kato_operator.desired.kinds import CLAIM, Kind, Manifest
from kato_operator.desired.stores import MONGODB_FIELD, REDIS_FIELD, Source, Sources
from kato_operator.reconcile.fence import Fence
from kato_operator.reconcile.ports import Cluster, Happening
from kato_service.processor.processor import Processor
from tests.support.cluster.cluster import Cluster as KubernetesCluster
from tests.support.eventually import eventually, eventually_async
from tests.support.operator.clock import HeldClock
from tests.support.operator.fake_cluster import Crash, Listener
from tests.support.operator.pods import PodsInProcess
from tests.support.operator.rig import Rig
from tests.support.operator.space import PATIENCE, Space

LIVES = 60


class Mortal:
    """The `Cluster` port on a real API server for a process that dies right after its first write.

    `told` are the Events of the processes before it: one that is posted again changes nothing, and is no write.
    """

    def __init__(self, cluster: Cluster, told: set[tuple[str, ...]]) -> None:
        self._cluster, self._told = cluster, told
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
        about = happening.about["metadata"]
        event = (about["uid"], about["resourceVersion"], happening.type, happening.reason)
        if event not in self._told:
            self._last(f"event {happening.reason}")
        await self._cluster.announce(happening)
        if event not in self._told:
            self._told.add(event)
            raise Crash

    def _last(self, what: str) -> None:
        """Let one write through, and none after it: whoever else was about to write is dead too."""
        if self.wrote:
            raise Crash
        self.wrote = what


class Lives:
    """One operator process after the other on one namespace; `writes` says what each of them died after.

    `pods` outlive them, `stores` are the ones that the chart names, and `removed` whose memory was removed from them.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._clock = HeldClock()
        self.pods = PodsInProcess(self._clock)
        self.stores: Sources | None = None
        self.removed: set[str] = set()
        self.writes: list[str] = []
        self._told: set[tuple[str, ...]] = set()

    async def run(self) -> list[str]:
        """Start processes until one finds nothing to write; return what those before it wrote, one each."""
        before = len(self.writes)
        for _ in range(LIVES):
            mortal = Mortal(self._cluster, self._told)
            rig = Rig(mortal, self.pods, self._clock, stores=self.stores)  # type: ignore[arg-type] # and a listener
            try:
                await rig.start()
                await rig.rounds.sweep()
                await rig.forward(3)
            except Crash:
                self.writes.append(mortal.wrote)
            else:
                return self.writes[before:]
            finally:
                self.removed |= {stores.processor for stores in rig.stores.removed}
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
        lives = Lives(KubeCluster(rest, fence, [namespace], instance="mortal"))
        yield lives
        await lives.pods.stop()


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
    deleted = await until_gone(lives, space)
    assert {"delete Deployment", "delete PersistentVolumeClaim", "finalizers KatoProcessor"} <= set(deleted)
    assert CLAIM.name not in {write.split()[1] for write in await lives.run()}


async def until_gone(lives: Lives, space: Space) -> list[str]:
    """Run until the processor and its children are gone; return what was written on the way."""
    written: list[str] = []

    async def gone() -> bool:
        written.extend(await lives.run())
        return space.find("kproc/broad") is None

    await eventually_async(gone, timeout=PATIENCE, interval=0.5)
    eventually(lambda: shape(space) == [], timeout=PATIENCE)
    return written


# No node has this label: the pods are never started, and stand for those that answer in the test's own process.
WIDE = {"storage": None, "replicas": 2, "autoscaling": {"maxReplicas": 3}, "nodeSelector": {"disk": "of-gold"}}


async def test_it_converges_on_shared_stores_and_with_a_session_that_is_bound(
    lives: Lives, cluster: KubernetesCluster, namespace: str
) -> None:
    space = Space(cluster, namespace)
    values = ("--from-literal=uri=mongodb://10.0.0.9", "--from-literal=url=redis://10.0.0.9")
    space.kubectl("create", "secret", "generic", "stores", *values)
    mongodb, redis = (MONGODB_FIELD, namespace, "stores", "uri"), (REDIS_FIELD, namespace, "stores", "url")
    lives.stores = Sources(Source(*mongodb), Source(*redis))
    space.processor("broad", **WIDE, deletionPolicy="Delete")
    space.session("reader", "broad")
    made = Counter(write.split()[1] for write in await lives.run() if write.startswith("apply"))
    twice = {"Secret": 2, "ConfigMap": 2}  # the token's and the stores'; the parameters and the note on the memory
    assert made == Counter(shape(space)) == Counter(dict.fromkeys(ONCE, 1) | twice)

    processor = await answer(lives, space)
    bound = await lives.run()
    assert "status KatoSession" in bound
    session = space.get("ksess/reader")["status"]["sessionId"]
    assert space.condition("ksess/reader", "Ready")[0] == "True"
    assert [declared.session_id for declared in (await processor.state()).declared] == [session]

    space.processor("broad", **WIDE | {"replicas": 1, "autoscaling": None}, deletionPolicy="Delete")
    space.session("reader", "broad", config={"maxPredictions": 5})
    updated = await lives.run()
    assert {"delete PodDisruptionBudget", "delete HorizontalPodAutoscaler", "apply Deployment"} <= set(updated)
    assert [declared.session_id for declared in (await processor.state()).declared] == [session]
    assert space.get("ksess/reader")["status"]["observedGeneration"] == 2

    space.kubectl("delete", "ksess/reader")
    assert "delete ConfigMap" not in await lives.run()
    assert not (await processor.state()).declared
    space.kubectl("delete", "kproc/broad", "--wait=false")
    assert {"delete Deployment", "delete ConfigMap", "finalizers KatoProcessor"} <= set(await until_gone(lives, space))
    assert lives.removed == {"broad"}


ONCE = (
    *("Deployment", "Service", "ServiceAccount", "NetworkPolicy"),
    *("PodDisruptionBudget", "HorizontalPodAutoscaler"),
)


async def answer(lives: Lives, space: Space) -> Processor:
    """Have both pods run as a kubelet would say, at addresses where one processor answers."""
    eventually(lambda: len(space.listing("pods", "kato.dev/processor=broad")) == 2, timeout=PATIENCE)
    processor = await lives.pods.start("10.0.0.1")
    for number, pod in enumerate(space.listing("pods", "kato.dev/processor=broad"), 1):
        ip = f"10.0.0.{number}"
        lives.pods.running[ip] = processor
        conditions = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")]
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
        patch = ("--subresource=status", "--type=merge", "--patch", json.dumps({"status": status}))
        space.kubectl("patch", f"pod/{pod['metadata']['name']}", *patch)
    counted = "deployment/kato-broad"
    eventually(lambda: space.get(counted)["status"].get("readyReplicas") == 2, timeout=PATIENCE)
    return processor


def shape(space: Space) -> list[str]:
    """Return the kinds of the processor's children: one of each, or the test that compares them fails."""
    kinds = "deployments,services,configmaps,secrets,serviceaccounts,networkpolicies,pvc,pdb,hpa"
    found = space.listing(kinds, "kato.dev/processor=broad")
    return ["PVC" if item["kind"] == CLAIM.name else item["kind"] for item in found]
