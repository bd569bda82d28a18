"""The story of a KatoProcessor: from what is asked for, by its children and pods, to its status.

Run by the workers for a key. It looks at the state alone, never at what happened; it may be broken off at any point
and begun again (spec: operator.md, "Level-triggered").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from kato_operator.desired.kinds import CLAIM, DEPLOYMENT, POD, PROCESSOR, Manifest
from kato_operator.desired.names import claim_name, endpoint, is_marked_as, selector_text
from kato_operator.desired.storage import as_found
from kato_operator.desired.subject import Subject, plain
from kato_operator.reconcile.children import PROBLEM_SECONDS, Children, Outcome, is_controlled_by
from kato_operator.reconcile.databases import DatabaseTaken, check_database
from kato_operator.reconcile.finalizers import is_held
from kato_operator.reconcile.judge import Judge
from kato_operator.reconcile.observations import Look
from kato_operator.reconcile.pods import ask_ailing, look, look_at_secrets, patience, recheck, token_of
from kato_operator.reconcile.ports import Key
from kato_operator.reconcile.removal import remove
from kato_operator.reconcile.retention import goes_along, settle_policy
from kato_operator.reconcile.statuses import (
    is_counters_alone,
    is_paused,
    wait_for_counters,
    write_paused,
    write_status,
)
from kato_operator.reconcile.stores import stores_of
from kato_operator.reconcile.world import FRESH_SECONDS, SILENT_SECONDS, World, soonest
from kato_operator.status.observed import Observed, Problem, Sight
from kato_operator.status.processor import COUNTERS, processor_status
from kato_spec.errors import Rejected
from kato_spec.keys import child_name

log = structlog.get_logger()

# What the status says that does not depend on pods.
ABOUT = ("selector", "endpoint", "storage")


class ProcessorStory:
    """What is done about one processor."""

    def __init__(self, world: World, judge: Judge, children: Children) -> None:
        self._world = world
        self._judge = judge
        self._children = children

    async def __call__(self, key: Key) -> float | None:
        """Bring a processor to what is wanted; return after how many seconds to look again, or None."""
        # 1. What is asked for? Nothing is kept of what is gone.
        body = self._world.cache.get(PROCESSOR, key.namespace, key.name)
        if body is None:
            self._world.observations.forget(key)
            self._world.secrets.forget(key)
            self._world.known_stores.pop(key, None)
            self._children.forget(key)
            await self._world.rights.let_go(key.namespace)
            return None
        if is_held(body):
            await self._world.rights.keep(key.namespace)
        # 2. One that is to go, goes. Memory that is to go with it holds it until then, whatever else is asked.
        if body["metadata"].get("deletionTimestamp"):
            await self._note(key, body)
            return await remove(self._world, key, body)
        if await settle_policy(self._world, key, body):
            return 0.0
        # 3. One that is paused is left as it is. What cannot be made is said, and what runs is left running.
        if is_paused(body):
            await write_paused(self._world, PROCESSOR, body, "Progressing", "False")
            return None
        try:
            subject = await self._judged(key, body)
        except Rejected as error:
            status = self._status(body, None, Outcome(problems=[Problem.of(error)]), None)
            await write_status(self._world, PROCESSOR, body, status, COUNTERS)
            return PROBLEM_SECONDS if isinstance(error, DatabaseTaken) else None
        # 4. The children, once the stores are known; before them the note of a memory that is to go.
        outcome = Outcome()
        await self._children.settle_note(subject, outcome)
        await self._settle(key, subject, outcome)
        # 5. The pods: parameters live, orphans withdrawn, counts read; then the status.
        return soonest(outcome.again(), await self._observe(body, subject, outcome))

    async def _note(self, key: Key, body: Manifest) -> None:
        """Note the memory of a processor that goes: its story may have been broken off between finalizer and note."""
        if not (is_held(body) and goes_along(body)):
            return
        try:
            await self._children.settle_note(await self._judged(key, body), Outcome())
        except Rejected as error:
            log.info("no note of its memory", processor=key.name, namespace=key.namespace, error=str(error))

    async def _judged(self, key: Key, body: Manifest) -> Subject:
        """Return what the manifests are made of.

        Raises:
            Rejected: it cannot be made as it is asked for.
        """
        subject = await self._subject(body)
        await check_database(self._world, self._judge, key, body, subject)
        return subject

    async def _subject(self, body: Manifest) -> Subject:
        """Return the same without regard to the memory of others."""
        processor, storage = self._judge.processor(body)
        metadata = body["metadata"]
        return Subject(
            processor=processor,
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            generation=metadata["generation"],
            storage=storage,
            default_image=self._world.policy.service_image,
            token=await token_of(self._world, body),
        )

    async def _settle(self, key: Key, subject: Subject, outcome: Outcome) -> None:
        """Bring the children to what is wanted; without the stores that they need, what runs is left running."""
        await look_at_secrets(self._world, key)
        try:
            stores = await stores_of(self._world, key, subject.spec.storage, subject.storage)
        except Rejected as error:
            outcome.problems.append(Problem.of(error))
        else:
            await self._children.settle(replace(subject, stores=stores), outcome)

    async def _observe(self, body: Manifest, subject: Subject, outcome: Outcome) -> float | None:
        """Look at the pods and report; return when to look again."""
        world = self._world
        record = subject.processor.record(subject.uid, subject.generation)
        seen = await look(world, body, record, max_age=patience(world, body, record))
        ailing = [] if seen.pods else await ask_ailing(world, body)
        status = self._status(body, subject, outcome, seen, ailing)
        wait = wait_for_counters(world, body, status, COUNTERS)
        if wait == 0:
            if is_counters_alone(body, status, COUNTERS):
                seen = await look(world, body, record, max_age=FRESH_SECONDS)
                status = self._status(body, subject, outcome, seen)
            await write_status(world, PROCESSOR, body, status, COUNTERS)
        again = recheck(seen, patience(world, body, record), world.clock.monotonic())
        return soonest(wait or None, again, SILENT_SECONDS if ailing else None)

    def _status(
        self,
        body: Manifest,
        subject: Subject | None,
        outcome: Outcome,
        seen: Look | None,
        ailing: Sequence[Sight] = (),
    ) -> dict[str, Any]:
        """Return the status; without a `subject` it is that of a processor which cannot be made as asked."""
        world, metadata, before = self._world, body["metadata"], body.get("status", {})
        place = (metadata["namespace"], metadata["name"])
        deployment = world.cache.get(DEPLOYMENT, place[0], child_name(place[1]))
        if deployment is not None and not is_controlled_by(deployment, metadata["uid"]):
            deployment = None  # what an earlier or a foreign one has done says nothing of ours
        running = (deployment or {}).get("spec", {}).get("replicas", 0)
        observed = Observed(
            uid=metadata["uid"],
            generation=metadata["generation"],
            suspended=subject is not None and subject.spec.suspend,
            replicas=subject.replicas if subject else max(running, 1),
            deployment=deployment,
            pods=world.cache.of_processor(POD, *place),
            claim=world.cache.get(CLAIM, place[0], claim_name(place[1])),
            problems=outcome.problems,
            waits=outcome.waits,
            sights=seen.sights if seen else (),
            ailing=ailing,
        )
        about = (
            {name: before[name] for name in ABOUT if name in before}
            if subject is None
            else _about(subject, observed.claim)
        )
        return processor_status(observed, before, about, world.clock.now())


def _about(subject: Subject, claim: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the status says that does not depend on pods."""
    ours = claim if claim and is_marked_as(claim["metadata"], subject.name) else None
    return {
        "selector": selector_text(subject.name),
        "endpoint": endpoint(subject.name, subject.namespace, subject.spec.port),
        "storage": plain(as_found(subject.storage, ours)),
    }
