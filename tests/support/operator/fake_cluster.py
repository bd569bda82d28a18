"""The `Cluster` port in memory, with as much of the API server as the stories rely on.

`tests/operator/test_cluster_port.py` runs one contract suite over this and over a real API server.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kato_operator.cluster.kube import EVENT
from kato_operator.desired.kinds import CUSTOM, WATCHED, Kind, Manifest, lean
from kato_operator.desired.names import PROCESSOR_LABEL
from kato_operator.reconcile.ports import Conflict, Happening, NotServed
from kato_spec.errors import KatoError, Transient
from tests.support.operator.clock import HeldClock

Place = tuple[Kind, str, str]
Listener = Callable[[Kind, Manifest, bool], None]


class Crash(Exception):
    """The process dies here."""


class FakeCluster:
    """Objects by kind, namespace and name; `listener` is told of every change, as a watch would."""

    def __init__(self, clock: HeldClock) -> None:
        self.clock = clock
        self.objects: dict[Place, Manifest] = {}
        self.happenings: list[Happening] = []
        self.writes: list[str] = []
        self.reads: list[str] = []
        self.in_the_way: list[str] = []
        self.refusals: dict[tuple[str, str], KatoError] = {}
        self.listener: Listener = lambda kind, manifest, gone: None
        self.crash_at: int | None = None
        self.away = False
        self._said: set[tuple[str, ...]] = set()
        self._version = 0
        self._uids = 0
        self._applied: dict[Place, Manifest] = {}

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        self._answer()
        self.reads.append(f"{kind.name} {name}")
        found = self.objects.get((kind, namespace, name))
        return copy.deepcopy(found) if found else None

    async def listing(self, kind: Kind) -> list[Manifest]:
        self._answer()
        if kind not in WATCHED:
            raise NotServed(f"{kind.plural} are not served")
        return [
            copy.deepcopy(item) for place, item in sorted_items(self.objects) if place[0] is kind and seen(item, kind)
        ]

    async def versions(self, kind: Kind) -> dict[tuple[str, str], str]:
        return {place_of(item): item["metadata"]["resourceVersion"] for item in await self.listing(kind)}

    async def uids(self, kind: Kind, namespace: str) -> frozenset[str]:
        items = await self.listing(kind)
        return frozenset(item["metadata"]["uid"] for item in items if item["metadata"]["namespace"] == namespace)

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        place = (kind, *place_of(manifest))
        self._answer()
        if place in self.objects:
            self.in_the_way.append(f"{kind.name} {place[2]}")
            raise Conflict(f"{place[2]} is there")
        return await self.apply(kind, manifest)

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        place = (kind, *place_of(manifest))
        self._write(f"apply {kind.name} {place[2]}", kind, place[2])
        live = self.objects.get(place)
        pruned = without_dropped(live or {}, self._applied.get(place, {}), manifest)
        self._applied[place] = copy.deepcopy(manifest)
        return self._store(place, merged(pruned, copy.deepcopy(manifest)))

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        place = (kind, *place_of(manifest))
        self._write(f"replace {kind.name} {place[2]}", kind, place[2])
        self._check_version(place, manifest)
        return self._store(place, copy.deepcopy(manifest))

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        place = (kind, *place_of(manifest))
        self._write(f"status {kind.name} {place[2]}", kind, place[2])
        live = self._check_version(place, manifest)
        return self._store(place, {**live, "status": copy.deepcopy(manifest["status"])})

    async def set_finalizers(self, kind: Kind, manifest: Manifest, finalizers: Sequence[str]) -> Manifest:
        place = (kind, *place_of(manifest))
        self._write(f"finalizers {kind.name} {place[2]}", kind, place[2])
        live = self._check_version(place, manifest)
        metadata = {name: value for name, value in live["metadata"].items() if name != "finalizers"}
        metadata |= {"finalizers": list(finalizers)} if finalizers else {}
        stored = self._store(place, {**live, "metadata": metadata})
        if metadata.get("deletionTimestamp") and not finalizers:
            self._drop(place)
        return stored

    async def delete(self, kind: Kind, manifest: Manifest) -> None:
        place = (kind, *place_of(manifest))
        self._write(f"delete {kind.name} {place[2]}", kind, place[2])
        live = self.objects.get(place)
        if live is not None and live["metadata"]["uid"] == manifest["metadata"]["uid"]:
            self.remove(kind, *place_of(manifest))

    async def announce(self, happening: Happening) -> None:
        self._write(f"event {happening.reason}", EVENT, happening.reason)
        metadata = happening.about["metadata"]
        said = (metadata["uid"], metadata["resourceVersion"], happening.type, happening.reason)
        if said not in self._said:
            self._said.add(said)
            self.happenings.append(happening)

    # What others do to the cluster.

    def put(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Store an object as its author writes it: a user, a controller, a kubelet."""
        place = (kind, *place_of(manifest))
        live = self.objects.get(place, {})
        return self._store(
            place,
            {
                **live,
                **copy.deepcopy(manifest),
                "metadata": {**live.get("metadata", {}), **copy.deepcopy(manifest["metadata"])},
            },
        )

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object: at once, or when its finalizers are off; what it owns goes with it."""
        place = (kind, namespace, name)
        live = self.objects[place]
        if live["metadata"].get("finalizers"):
            stamp = self.clock.now().isoformat().replace("+00:00", "Z")
            self._store(place, {**live, "metadata": {**live["metadata"], "deletionTimestamp": stamp}})
        else:
            self._drop(place)

    def _drop(self, place: Place) -> None:
        """Take an object away, and then what it owned."""
        gone = self.objects.pop(place)
        self._applied.pop(place, None)
        self._version += 1
        gone["metadata"]["resourceVersion"] = str(self._version)
        self._tell(place[0], gone, gone=True)
        uid = gone["metadata"]["uid"]
        for other, item in list(self.objects.items()):
            if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", ())):
                self._drop(other)

    def _store(self, place: Place, manifest: Manifest) -> Manifest:
        """Store an object, as the API server does: nothing happens when nothing is new."""
        live = self.objects.get(place)
        metadata = manifest["metadata"]
        if live is None:
            self._uids += 1
            created = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata |= {"uid": f"uid-{self._uids}", "generation": 1, "creationTimestamp": created}
        elif strip(live) == strip(manifest):
            return copy.deepcopy(live)
        elif live.get("spec") != manifest.get("spec"):
            metadata["generation"] = live["metadata"]["generation"] + 1
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        self.objects[place] = manifest
        self._tell(place[0], manifest, gone=False)
        return copy.deepcopy(manifest)

    def _tell(self, kind: Kind, manifest: Manifest, *, gone: bool) -> None:
        if kind in WATCHED and seen(manifest, kind):
            self.listener(kind, lean(copy.deepcopy(manifest)), gone)

    def _check_version(self, place: Place, manifest: Manifest) -> Manifest:
        """Return the stored object if `manifest` is based on it."""
        live = self.objects.get(place)
        if live is None:
            raise Transient(f"{place[2]} is not there")
        if live["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise Conflict(f"{place[2]} has changed")
        return live

    def _write(self, what: str, kind: Kind, name: str) -> None:
        """Count a write, refuse it, or die before it as the test asks."""
        self._answer()
        if self.crash_at is not None and len(self.writes) >= self.crash_at:
            raise Crash
        if (kind.name, name) in self.refusals:
            raise self.refusals[kind.name, name]
        self.writes.append(what)

    def _answer(self) -> None:
        if self.away:
            raise Transient("the API server is away")


def seen(manifest: Manifest, kind: Kind) -> bool:
    """Say whether the operator's watches select an object."""
    return kind in CUSTOM or PROCESSOR_LABEL in manifest["metadata"].get("labels", {})


def place_of(manifest: Manifest) -> tuple[str, str]:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]


def sorted_items(objects: Mapping[Place, Manifest]) -> list[tuple[Place, Manifest]]:
    return sorted(objects.items(), key=lambda item: (item[0][0].name, *item[0][1:]))


def strip(manifest: Manifest) -> Manifest:
    """Return what of an object counts as its content."""
    own = {"uid", "generation", "resourceVersion", "creationTimestamp"}
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in own}
    return {**manifest, "metadata": metadata}


def merged(live: Any, wanted: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Lay `wanted` over `live`: maps key by key, named list items by name, all else as a whole."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        return live | {key: merged(live.get(key), value) for key, value in wanted.items()}
    if isinstance(live, list) and isinstance(wanted, list) and named(live) and named(wanted):
        mine = {item["name"]: item for item in wanted}
        others = [item for item in live if item["name"] not in mine]
        there = {item["name"]: item for item in live}
        return [merged(there.get(name), item) for name, item in mine.items()] + others
    return wanted


def named(items: list[Any]) -> bool:
    return all(isinstance(item, dict) and "name" in item for item in items)


def without_dropped(live: Any, before: Any, wanted: Any) -> Any:  # noqa: ANN401 - as above
    """Take off `live` what was applied `before` and is no longer wanted."""
    if not (isinstance(live, dict) and isinstance(before, dict) and isinstance(wanted, dict)):
        return live
    dropped = before.keys() - wanted.keys()
    return {
        key: without_dropped(value, before.get(key), wanted.get(key))
        for key, value in live.items()
        if key not in dropped
    }
