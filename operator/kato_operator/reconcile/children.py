"""Make the children what they should be: compare, apply what differs, leave alone what is not ours.

Called by `processor`. One child's problem does not keep the others from being made, except that a Deployment is not
begun without what its pods need (spec: operator.md, KatoProcessor, "Children").
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import structlog

from kato_operator.desired.children import children, unwanted
from kato_operator.desired.compare import digest, drift, stamped, without_extras
from kato_operator.desired.kinds import BY_NAME, CLAIM, CONFIG_MAP, DEPLOYMENT, PROCESSOR, Kind, Manifest
from kato_operator.desired.memory import memory_note
from kato_operator.desired.names import (
    FIELD_MANAGER,
    MANAGED_BY_LABEL,
    PROCESSOR_LABEL,
    claim_name,
    memory_note_name,
)
from kato_operator.desired.subject import Subject
from kato_operator.reconcile.ports import INVALID, Refused
from kato_operator.reconcile.world import World
from kato_operator.status.observed import Problem
from kato_spec.errors import Rejected
from kato_spec.keys import child_name

log = structlog.get_logger()

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


class Children:
    """The children of every processor. `_unyielding` remembers what others keep changing, so as not to fight."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._unyielding: dict[tuple[str, str, str], tuple[str, ...]] = {}

    async def settle(self, subject: Subject, outcome: Outcome) -> None:
        """Bring every child of `subject` to what is wanted; `outcome` is told what came of it."""
        claim = self._world.cache.get(CLAIM, subject.namespace, claim_name(subject.name))
        wanted = children(subject, claim)
        first = [manifest for manifest in wanted if manifest["kind"] != DEPLOYMENT.name]
        steps = [self._settle_one(subject, manifest, outcome) for manifest in first]
        for failure in filter(None, await asyncio.gather(*steps, return_exceptions=True)):
            raise failure
        begun = self._world.cache.get(DEPLOYMENT, subject.namespace, child_name(subject.name)) is not None
        if begun or not (outcome.problems or outcome.waits):
            (deployment,) = [manifest for manifest in wanted if manifest["kind"] == DEPLOYMENT.name]
            await self._settle_one(subject, deployment, outcome)
        await self._remove(subject, unwanted(wanted))

    async def settle_note(self, subject: Subject, outcome: Outcome) -> None:
        """Note which memory is to go with the processor, or take such a note away."""
        note = memory_note(subject)
        if note is not None:
            await self._settle_one(subject, note, outcome)
        else:
            await self._delete(subject, CONFIG_MAP, memory_note_name(subject.name))

    async def _settle_one(self, subject: Subject, wanted: Manifest, outcome: Outcome) -> None:
        """Bring one child to what is wanted, or say why not."""
        kind, name = BY_NAME[wanted["kind"]], wanted["metadata"]["name"]
        live, where = await self._find(subject, kind, name)
        if where is Standing.FOREIGN:
            message = f"{kind.name} {name} exists and is not this processor's: it is left alone"
            outcome.problems.append(Problem("NameConflict", message))
        elif where is Standing.LEAVING:
            outcome.waits.append(
                Problem("WaitingForRemoval", f"{kind.name} {name} of an earlier time is on its way out")
            )
        else:
            try:
                await self._write(kind, stamped(wanted), live)
            except Rejected as error:
                outcome.problems.append(Problem.of(error))

    async def _find(self, subject: Subject, kind: Kind, name: str) -> tuple[Manifest | None, Standing]:
        """Return a child as it is and whose it is.

        That the watches know of none, or of someone else's, is not enough to make one or to leave one: the API server
        is asked.
        """
        live = self._world.cache.get(kind, subject.namespace, name)
        if live is None or standing(live, subject.uid, subject.name) is not Standing.OURS:
            live = await self._world.cluster.get(kind, subject.namespace, name)
        return live, standing(live, subject.uid, subject.name) if live else Standing.OURS

    async def _write(self, kind: Kind, wanted: Manifest, live: Manifest | None) -> None:
        """Apply `wanted` unless `live` is so already; what an apply cannot take away is replaced."""
        if live is not None:
            differences = tuple(drift(wanted, live))
            if not differences or self._unyielding.get(_place(wanted)) == (digest(wanted), *differences):
                self._world.cache.put(kind, live)
                return
            log.info("child differs", kind=kind.name, name=wanted["metadata"]["name"], at=differences[:8])
        stored = await self._applied(kind, wanted, live)
        self._world.cache.put(kind, stored)
        left = tuple(drift(wanted, stored))
        if left:
            log.warning(
                "child is changed by another hand", kind=kind.name, name=wanted["metadata"]["name"], at=left[:8]
            )
            self._unyielding[_place(wanted)] = (digest(wanted), *left)
        else:
            self._unyielding.pop(_place(wanted), None)

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
            await self._delete(subject, kind, child_name(subject.name))

    async def _delete(self, subject: Subject, kind: Kind, name: str) -> None:
        """Delete an object if it is there and ours."""
        live = self._world.cache.get(kind, subject.namespace, name)
        if live is not None and standing(live, subject.uid, subject.name) is Standing.OURS:
            await self._world.cluster.delete(kind, live)


def standing(live: Manifest, uid: str, processor: str) -> Standing:
    """Say whose an object is: by its controller; without one, by our own labels (a child that was set free)."""
    metadata = live["metadata"]
    if metadata.get("deletionTimestamp"):
        return Standing.LEAVING
    controller = next((owner for owner in metadata.get("ownerReferences", ()) if owner.get("controller")), None)
    if controller is None:
        labels = metadata.get("labels", {})
        ours = labels.get(MANAGED_BY_LABEL) == FIELD_MANAGER and labels.get(PROCESSOR_LABEL) == processor
        return Standing.OURS if ours else Standing.FOREIGN
    if controller["uid"] == uid:
        return Standing.OURS
    same = (controller["apiVersion"], controller["kind"], controller["name"])
    earlier = same == (PROCESSOR.api_version, PROCESSOR.name, processor)
    return Standing.LEAVING if earlier else Standing.FOREIGN


def _place(manifest: Manifest) -> tuple[str, str, str]:
    """Return kind, namespace and name."""
    return manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]
