"""The stories over a cluster in memory and a clock that stands: what an operator would do, step by step.

Called by tests/unit/operator. `settle` works until nothing is due; `forward` moves the clock and settles again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from kato_operator.desired.kinds import DEPLOYMENT, POD, PROCESSOR, SESSION, Kind, Manifest
from kato_operator.desired.names import labels
from kato_operator.desired.stores import Sources, Stores
from kato_operator.reconcile.cache import Cache
from kato_operator.reconcile.children import Children
from kato_operator.reconcile.feed import Feed
from kato_operator.reconcile.finalizers import Rights
from kato_operator.reconcile.judge import Judge
from kato_operator.reconcile.observations import Observations
from kato_operator.reconcile.pods import wake_sessions
from kato_operator.reconcile.ports import Key
from kato_operator.reconcile.processor import ProcessorStory
from kato_operator.reconcile.queue import WorkQueue
from kato_operator.reconcile.rounds import Rounds
from kato_operator.reconcile.secrets import Secrets
from kato_operator.reconcile.session import SessionStory
from kato_operator.reconcile.workers import Story
from kato_operator.reconcile.world import Policy, World
from kato_spec.errors import Transient
from tests.support.operator.clock import HeldClock
from tests.support.operator.fake_cluster import Crash, FakeCluster
from tests.support.operator.pods import PodsInProcess

NAMESPACE = "space"
BINDING = "kato-operator"
STEPS = 500


class StoresInMemory:
    """The `StoresPort` in memory: whose memory was removed, and what keeps it from being removed."""

    def __init__(self) -> None:
        self.removed: list[Stores] = []
        self.away: list[str] = []

    async def remove(self, stores: Stores, seconds: float) -> list[str]:
        assert seconds > 0
        self.removed += [] if self.away else [stores]
        return self.away


class Rig:
    """One operator process; a second one on the same cluster, pods and clock is its restart."""

    def __init__(
        self,
        cluster: FakeCluster,
        pods: PodsInProcess,
        clock: HeldClock,
        *,
        cleanup: float = 60,
        stores: Sources | None = None,
    ) -> None:
        self.cluster, self.pods, self.clock = cluster, pods, clock
        self.queue = WorkQueue(lambda: 1.0)
        self.cache = Cache()
        tokens = itertools.count()
        policy = Policy("kato-service:test", 30.0, cleanup, lambda: f"token-{next(tokens)}", stores)
        observations = Observations(
            pods, clock, lambda key, before, seen: wake_sessions(self.cache, self.add, key, before, seen)
        )
        secrets, self.stores = Secrets(cluster, self.add), StoresInMemory()
        rights = Rights(cluster, self.cache, [NAMESPACE], BINDING)
        self.world = World(
            cluster, pods, self.stores, clock, self.cache, observations, secrets, rights, self.add, policy
        )
        judge = Judge(shared=stores is not None)
        self.stories: dict[str, Story] = {
            PROCESSOR.name: ProcessorStory(self.world, judge, Children(self.world)),
            SESSION.name: SessionStory(self.world, judge),
        }
        self.feed = Feed(self.cache, self.add, lambda kind: None)
        self.rounds = Rounds(self.world, self.feed, lambda kind: None, secret_round=0)
        cluster.listener = lambda kind, manifest, gone: self.feed.event(kind, manifest, gone=gone)

    def add(self, key: Key, after: float = 0.0) -> None:
        self.queue.add(key, self.clock.monotonic() + after)

    async def start(self) -> None:
        """Begin as a process does: list everything, then work."""
        await self.rounds.start()
        await self.settle()

    async def settle(self) -> None:
        """Run what is due until nothing is."""
        for _ in range(STEPS):
            key = self.queue.take(self.clock.monotonic())
            if key is None:
                return
            now = self.clock.monotonic()
            try:
                again = await self.stories[key.kind](key)
            except Transient as error:
                self.queue.failed(key, now, error.retry_after)
            else:
                self.queue.done(key, None if again is None else now + again)
        raise AssertionError(f"still something due after {STEPS} steps")

    async def forward(self, seconds: float) -> None:
        """Let time pass, and what falls due on the way be done."""
        end = self.clock.monotonic() + seconds
        while (due := self.queue.next_due()) is not None and due <= end:
            self.clock.seconds = max(due, self.clock.seconds)
            await self.settle()
        self.clock.seconds = end
        await self.settle()

    def get(self, kind: Kind, name: str) -> Manifest:
        return self.cluster.objects[kind, NAMESPACE, name]

    def find(self, kind: Kind, name: str) -> Manifest | None:
        return self.cluster.objects.get((kind, NAMESPACE, name))

    def condition(self, kind: Kind, name: str, condition: str) -> tuple[str, str]:
        """Return status and reason of a condition."""
        found = {item["type"]: item for item in self.get(kind, name)["status"]["conditions"]}[condition]
        return found["status"], found["reason"]

    def user_applies(self, kind: Kind, name: str, **spec: object) -> Manifest:
        """Store one of our objects as a user's `kubectl apply` leaves it: defaults filled in."""
        filled = DEFAULTS[kind.name] | spec
        return self.cluster.put(kind, kind.manifest({"name": name, "namespace": NAMESPACE}, spec=filled))

    def user_annotates(self, kind: Kind, name: str, annotations: dict[str, str]) -> None:
        self.cluster.put(kind, {"metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations}})

    async def pod_runs(self, processor: str, ip: str = "10.0.0.1", *, fresh: bool = True) -> None:
        """Do what the Deployment controller and a kubelet do: a ready pod, and a Deployment that says so."""
        if fresh:
            await self.pods.start(ip)
        deployment = self.get(DEPLOYMENT, f"kato-{processor}")
        self.cluster.put(POD, pod(processor, ip, [{"type": "Ready", "status": "True"}]))
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), 1)
        status = {**counts, "observedGeneration": deployment["metadata"]["generation"]}
        self.cluster.put(DEPLOYMENT, {**deployment, "status": status})
        await self.settle()

    async def pod_ends(self, processor: str) -> None:
        """Take the pod away again."""
        self.cluster.remove(POD, NAMESPACE, f"kato-{processor}-0")
        deployment = self.get(DEPLOYMENT, f"kato-{processor}")
        status = {"observedGeneration": deployment["metadata"]["generation"]}
        self.cluster.put(DEPLOYMENT, {**deployment, "status": status})
        await self.settle()

    async def dies(self) -> bool:
        """Run until nothing more happens; say whether a crash came first."""
        try:
            await self.settle()
        except Crash:
            return True
        return False

    def events(self) -> list[str]:
        """Return the reasons of the Events so far."""
        return [happening.reason for happening in self.cluster.happenings]


DEFAULTS: dict[str, dict[str, Any]] = {
    PROCESSOR.name: {
        "displayName": "KatoProcessor",
        "port": 8000,
        "replicas": 1,
        "deletionPolicy": "Retain",
        "suspend": False,
        "serviceType": "ClusterIP",
    },
    SESSION.name: {"expiryPolicy": "Expire"},
}


def pod(processor: str, ip: str, conditions: Iterable[dict[str, str]], **status: object) -> Manifest:
    """Return the pod of a processor."""
    metadata = {"name": f"kato-{processor}-0", "namespace": NAMESPACE, "labels": labels(processor)}
    return POD.manifest(metadata, status={"podIP": ip, "conditions": list(conditions), **status})


def new_rig(*, cleanup: float = 60, stores: Sources | None = None) -> Rig:
    """Return an operator on an empty cluster, where the chart names `stores` or none."""
    clock = HeldClock()
    return Rig(FakeCluster(clock), PodsInProcess(clock), clock, cleanup=cleanup, stores=stores)


def restarted(rig: Rig) -> Rig:
    """Return the next process of an operator: all that was in memory is gone."""
    return Rig(rig.cluster, rig.pods, rig.clock)
