"""Make the children what they should be: compare, apply what differs, leave alone what is not ours.

Called by `processor`. One child's problem does not keep the others from being made, except that a Deployment is not
begun without what its pods need (spec: operator.md, KatoProcessor, "Children").
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import structlog

from kato_operator.desired.children import children, unwanted
from kato_operator.desired.compare import drift, stamped, without_extras
from kato_operator.desired.kinds import BY_NAME, CLAIM, DEPLOYMENT, PROCESSOR, WATCHED, Kind, Manifest
from kato_operator.desired.memory import memory_note
from kato_operator.desired.names import APPLIED_ANNOTATION, claim_name, is_marked_as, marks
from kato_operator.desired.subject import Subject
from kato_operator.reconcile.ports import INVALID, Conflict, Key, Refused
from kato_operator.reconcile.world import World, processor_key
from kato_operator.status.observed import Problem
from kato_spec.errors import Rejected
from kato_spec.keys import child_name

log = structlog.get_logger()

# Kind and name of a child.
Place = tuple[Kind, str]

# When a foreign object in the way, or a write that was refused, is tried again.
PROBLEM_SECONDS = 5.0
WAIT_SECONDS = 1.0


class Standing(Enum):
    """Whose an object of a child's name is."""

    OURS = auto()
    LEAVING = auto()
    FOREIGN = auto()


@dataclass(slots=True)
class Outcome:
    """What came of the children: `problems` are not as asked for, `waits` pass by themselves."""

    problems: list[Problem] = field(default_factory=list)
    waits: list[Problem] = field(default_factory=list)

    def again(self) -> float | None:
        """Return after how many seconds to try again, or None when all is done."""
        if self.waits:
            return WAIT_SECONDS
        return PROBLEM_SECONDS if self.problems else None


@dataclass(slots=True)
class _Memory:
    """What is remembered of one processor's children, by kind and name; all of it may be lost.

    `alike`: the digest of what was wanted, and the version that was so; `unyielding`: what others keep changing, so as
    not to fight; `taken`: of which the watches know nothing and which are there; `settled`: what all of its
    children, the `made` ones, were last made of, without a problem.
    """

    alike: dict[Place, tuple[str, str]] = field(default_factory=dict)
    unyielding: dict[Place, tuple[str, ...]] = field(default_factory=dict)
    taken: set[Place] = field(default_factory=set)
    settled: Subject | None = None
    made: Sequence[Place] = ()
    unwanted: Sequence[Kind] = ()


class Children:
    """The children of every processor."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._memories: defaultdict[Key, _Memory] = defaultdict(_Memory)

    def forget(self, processor: Key) -> None:
        """Remember nothing of a processor that is gone."""
        self._memories.pop(processor, None)

    async def settle(self, subject: Subject, outcome: Outcome) -> None:
        """Bring every child of `subject` to what is wanted; `outcome` is told what came of it."""
        memory = self._memories[processor_key(subject.namespace, subject.name)]
        if memory.settled == subject and all(self._stands(memory, subject, place) for place in memory.made):
            await self._remove(subject, memory.unwanted)
            return
        claim = self._world.cache.get(CLAIM, subject.namespace, claim_name(subject.name))
        wanted = children(subject, claim)
        memory.settled = None
        first = [manifest for manifest in wanted if manifest["kind"] != DEPLOYMENT.name]
        steps = [self._settle_one(subject, manifest, outcome) for manifest in first]
        for failure in filter(None, await asyncio.gather(*steps, return_exceptions=True)):
            raise failure
        begun = self._world.cache.get(DEPLOYMENT, subject.namespace, child_name(subject.name)) is not None
        if begun or not (outcome.problems or outcome.waits):
            (deployment,) = [manifest for manifest in wanted if manifest["kind"] == DEPLOYMENT.name]
            await self._settle_one(subject, deployment, outcome)
        memory.unwanted = unwanted(wanted)
        await self._remove(subject, memory.unwanted)
        if not (outcome.problems or outcome.waits):
            memory.settled, memory.made = subject, [_place(manifest) for manifest in wanted]

    def _stands(self, memory: _Memory, subject: Subject, place: Place) -> bool:
        """Say whether a child is as it was when it was last compared, or made."""
        live = self._world.cache.get(place[0], subject.namespace, place[1])
        known = memory.alike.get(place)
        return live is not None and known is not None and known[1] == live["metadata"]["resourceVersion"]

    async def settle_note(self, subject: Subject, outcome: Outcome) -> None:
        """Note which memory in shared stores is to go with the processor."""
        note = memory_note(subject)
        if note is not None:
            await self._settle_one(subject, note, outcome)

    async def _settle_one(self, subject: Subject, manifest: Manifest, outcome: Outcome) -> None:
        """Bring one child to what is wanted, or say why not."""
        kind, wanted = BY_NAME[manifest["kind"]], stamped(manifest)
        memory = self._memories[processor_key(subject.namespace, subject.name)]
        try:
            live = await self._make(memory, kind, wanted) or await self._find(memory, subject, kind, wanted)
            where = standing(live, subject.uid, subject.name) if live else Standing.OURS
            if where is Standing.OURS:
                await self._write(memory, kind, wanted, live)
                return
        except Rejected as error:
            outcome.problems.append(Problem.of(error))
            return
        called = f"{kind.name} {wanted['metadata']['name']}"
        if where is Standing.FOREIGN:
            message = f"{called} exists and is not this processor's: it is left alone"
            if kind is CLAIM:
                labels = " ".join(f"{label}={value}" for label, value in marks(subject.name).items())
                message += f"; if it is its memory, label it so: {labels}"
            outcome.problems.append(Problem("NameConflict", message))
        else:
            outcome.waits.append(Problem("WaitingForRemoval", f"{called} of an earlier time is on its way out"))

    async def _make(self, memory: _Memory, kind: Kind, wanted: Manifest) -> Manifest | None:
        """Make a child of which the watches know nothing, in one step, or return None where it may be there.

        Secrets are not watched: that one is unknown says nothing.
        """
        metadata, place = wanted["metadata"], _place(wanted)
        known = self._world.cache.get(kind, metadata["namespace"], metadata["name"]) is not None
        if known or kind not in WATCHED or place in memory.taken:
            return None
        try:
            return await self._world.cluster.create(kind, wanted)
        except Conflict:
            memory.taken.add(place)
            return None

    async def _find(self, memory: _Memory, subject: Subject, kind: Kind, wanted: Manifest) -> Manifest | None:
        """Return a child as it is.

        That the watches know of none, or of someone else's, is not enough to make one or to leave one: the API server
        is asked.
        """
        name = wanted["metadata"]["name"]
        live = self._world.cache.get(kind, subject.namespace, name)
        if live is None or standing(live, subject.uid, subject.name) is not Standing.OURS:
            live = await self._world.cluster.get(kind, subject.namespace, name)
        if live is None:
            memory.taken.discard((kind, name))
        return live

    async def _write(self, memory: _Memory, kind: Kind, wanted: Manifest, live: Manifest | None) -> None:
        """Apply `wanted` unless `live` is so already; what an apply cannot take away is replaced."""
        name, stamp = wanted["metadata"]["name"], wanted["metadata"]["annotations"][APPLIED_ANNOTATION]
        if live is not None:
            if memory.alike.get((kind, name)) == (stamp, live["metadata"]["resourceVersion"]):
                return
            differences = tuple(drift(wanted, live))
            if not differences or memory.unyielding.get((kind, name)) == (stamp, *differences):
                self._keep(memory, kind, stamp, live)
                return
            log.info("child differs", kind=kind.name, name=name, at=differences[:8])
        stored = await self._applied(kind, wanted, live)
        self._keep(memory, kind, stamp, stored)
        left = tuple(drift(wanted, stored))
        if left:
            log.warning("child is changed by another hand", kind=kind.name, name=name, at=left[:8])
            memory.unyielding[kind, name] = (stamp, *left)
        else:
            memory.unyielding.pop((kind, name), None)

    def _keep(self, memory: _Memory, kind: Kind, stamp: str, live: Manifest) -> None:
        """Remember a child as it is, and that it need not be compared again before it or what is wanted changes."""
        self._world.cache.put(kind, live)
        memory.alike[kind, live["metadata"]["name"]] = (stamp, live["metadata"]["resourceVersion"])

    async def _applied(self, kind: Kind, wanted: Manifest, live: Manifest | None) -> Manifest:
        """Apply `wanted`; where what others added stays, or does not even go together with it, replace the whole."""
        cluster = self._world.cluster
        if live is not None and not any(drift(wanted, live, extras=False)):
            return await cluster.replace(kind, without_extras(wanted, live))
        try:
            stored = await cluster.apply(kind, wanted)
        except Refused as error:
            if live is None or error.reason != INVALID:
                raise
            return await cluster.replace(kind, without_extras(wanted, live))
        if any(drift(wanted, stored)):
            return await cluster.replace(kind, without_extras(wanted, stored))
        return stored

    async def _remove(self, subject: Subject, kinds: Sequence[Kind]) -> None:
        """Delete children that are no longer wanted."""
        for kind in kinds:
            live = self._world.cache.get(kind, subject.namespace, child_name(subject.name))
            if live is not None and standing(live, subject.uid, subject.name) is Standing.OURS:
                await self._world.cluster.delete(kind, live)


def standing(live: Manifest, uid: str, processor: str) -> Standing:
    """Say whose an object is: by its controller; without one, by our own marks (memory, a child that was set free)."""
    metadata = live["metadata"]
    if metadata.get("deletionTimestamp"):
        return Standing.LEAVING
    controller = _controller(live)
    if controller is None:
        return Standing.OURS if is_marked_as(metadata, processor) else Standing.FOREIGN
    if controller["uid"] == uid:
        return Standing.OURS
    same = (controller["apiVersion"], controller["kind"], controller["name"])
    earlier = same == (PROCESSOR.api_version, PROCESSOR.name, processor)
    return Standing.LEAVING if earlier else Standing.FOREIGN


def is_controlled_by(live: Manifest, uid: str) -> bool:
    """Say whether the controller of an object is the one with `uid`."""
    controller = _controller(live)
    return controller is not None and bool(controller["uid"] == uid)


def _controller(live: Manifest) -> Manifest | None:
    """Return the owner that controls an object, or None."""
    return next((owner for owner in live["metadata"].get("ownerReferences", ()) if owner.get("controller")), None)


def _place(manifest: Manifest) -> Place:
    """Return kind and name."""
    return BY_NAME[manifest["kind"]], manifest["metadata"]["name"]
